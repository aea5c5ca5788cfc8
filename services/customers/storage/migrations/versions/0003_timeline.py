"""The timeline, and the turn of each business day."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("""
        create table timeline (
            customer_id uuid,
            occurred_at timestamptz,
            id uuid,
            kind text collate "C" not null,
            origin text collate "C" not null,
            actor text not null,
            object_id text not null,
            what text not null,
            facts jsonb not null,
            changes jsonb not null,
            -- Read backwards, and by itself: what is folded and filtered by lies in it.
            primary key (customer_id, occurred_at, id) include (kind, origin)
        );
        -- An index is read alone only where the visibility map is fresh.
        alter table timeline set
            (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02);
        create table timeline_objects (
            kind text collate "C",
            object_id text collate "C",
            customer_id uuid not null,
            version bigint not null,
            facts jsonb not null,
            primary key (kind, object_id)
        );
        create index timeline_objects_by_customer on timeline_objects (customer_id);
        create table churns (
            customer_id uuid,
            contract_end date,
            primary key (customer_id, contract_end)
        );
        create table customers_days (day date primary key, finished_at timestamptz not null);
        -- Who churned before there was a timeline is not told of now.
        insert into customers_days select current_date - 1, now() where exists (select from customers);
    """)
