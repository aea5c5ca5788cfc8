"""What other services tell of customers; search."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute("""
        -- No index holds them, so that what is told changes the row alone.
        alter table customers add last_touch_at timestamptz, add recurring_version bigint not null default 0;

        create table customer_recurring (
            customer_id uuid,
            currency text collate "C",
            from_month date,
            to_month date not null,
            mrr numeric not null,
            primary key (customer_id, currency, from_month)
        );
        create table customer_metrics (
            customer_id uuid,
            metric text collate "C",
            value numeric,
            week text collate "C" not null,
            computed_at timestamptz not null,
            primary key (customer_id, metric)
        );

        create table customer_search (
            id uuid primary key,
            customer_id uuid not null,
            is_contact boolean not null,
            name text collate "C" not null,
            short_name text collate "C" not null,
            codes text collate "C" not null,
            pinyin text collate "C" not null,
            initials text collate "C" not null,
            tokens integer[] not null
        );
        create index customer_search_by_name on customer_search (is_contact, name);
        create index customer_search_by_short_name on customer_search (short_name) where short_name <> '';
        create index customer_search_by_pinyin on customer_search (is_contact, pinyin) where pinyin <> '';
        create index customer_search_of_customer on customer_search (customer_id);
        create index customer_search_by_token on customer_search using gin (tokens);
    """)
