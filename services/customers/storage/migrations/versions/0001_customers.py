"""Customers, contacts, owners, the projection of employees, staged rows of imports."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
        create table customers (
            id uuid primary key,
            number text collate "C" not null unique,
            number_key bigint not null,
            external_id text collate "C" not null unique,
            source text not null,
            name text collate "C" not null,
            short_name text,
            industry text,
            region text,
            kind text not null,
            size text,
            value_tier text,
            seats integer,
            first_sign_date date,
            last_contract_end date,
            -- Never null, so that one index serves the sort and the churn predicate; no end sorts after all ends.
            contract_end_key date not null generated always as (coalesce(last_contract_end, date '9999-12-31')) stored,
            contract_end_version bigint not null default 0,
            health_status text,
            health_week text collate "C",
            health_computed_at timestamptz,
            version bigint not null,
            created_at timestamptz not null,
            updated_at timestamptz not null
        );
        create index customers_by_name on customers (name, id);
        create index customers_by_number on customers (number_key, id);
        create index customers_by_contract_end on customers (contract_end_key, id);
        create index customers_by_creation on customers (created_at, id);
        create table numbers (day date primary key, last integer not null);
        create table owners (
            customer_id uuid references customers (id),
            role text,
            employee_id uuid not null,
            since timestamptz not null,
            primary key (customer_id, role)
        );
        create index owners_by_employee on owners (employee_id, customer_id);
        create table contacts (
            id uuid primary key,
            customer_id uuid not null references customers (id),
            external_id text collate "C" not null,
            name text collate "C" not null,
            phone text,
            wechat_id text,
            post text,
            email text,
            created_at timestamptz not null,
            updated_at timestamptz not null,
            unique (customer_id, external_id)
        );
        create index contacts_by_name on contacts (customer_id, name, id);
        create table employees (
            id uuid primary key,
            login text collate "C" not null,
            active boolean not null,
            version bigint not null
        );
        create index employees_by_login on employees (login);
        -- Unlogged: an import that a crash ended is run again.
        create unlogged table import_rows (
            import_id uuid,
            line bigint,
            key text collate "C" not null,
            row jsonb not null,
            primary key (import_id, line)
        );
    """)
