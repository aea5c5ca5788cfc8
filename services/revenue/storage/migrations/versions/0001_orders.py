"""Orders, the contract ends that follow from them, and the customers that they are of."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
        create table orders (
            id uuid primary key,
            number text not null unique,
            customer_id uuid not null,
            product text not null,
            currency text not null,
            amount numeric check (amount >= 0),
            monthly_price numeric check (monthly_price >= 0),
            signed_date date not null,
            term_start date not null,
            term_end date check (term_end >= term_start),
            counts_to_mrr boolean not null,
            renews_order_id uuid references orders check (renews_order_id <> id),
            status text not null check (status in ('DRAFT', 'EFFECTIVE', 'VOID')),
            void_reason text not null default '',
            version bigint not null,
            created_at timestamptz not null,
            updated_at timestamptz not null,
            check ((amount is null) <> (monthly_price is null)),
            check (amount is null or term_end is not null)
        );
        create index orders_by_start on orders (term_start desc, id desc);
        create index orders_by_customer on orders (customer_id, term_start desc, id desc);
        create index orders_by_end on orders (term_end);
        create index orders_by_renewed on orders (renews_order_id, term_start) where status = 'EFFECTIVE';

        -- A renewed order ends the day before the one that renews it starts; least() ignores nulls.
        create view order_terms as
        select orders.*, least(term_end, (
            select min(renewal.term_start) - 1 from orders renewal
            where renewal.renews_order_id = orders.id and renewal.status = 'EFFECTIVE'
        )) as last_day
        from orders;

        create table contract_ends (
            customer_id uuid primary key,
            last_contract_end date,
            version bigint not null
        );
        create table customers (
            id uuid primary key,
            external_id text not null,
            number text not null,
            version bigint not null
        );
        create index customers_by_external_id on customers (external_id);
    """)
