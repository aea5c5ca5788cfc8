"""Lists by owner, tags; owners and employees move to the kit's tables.

The release before does not run on this schema: the facts of `owners` and `employees` have one place each from here on.
"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("""
        insert into kit.customer_access (customer_id, role, employee_id, valid_from, valid_to)
            select customer_id, role, employee_id, date '0001-01-01', date '9999-12-31' from owners;
        drop table owners;
        drop table employees;

        -- Whether a customer has churned is read beside the sort.
        drop index customers_by_name, customers_by_number, customers_by_creation;
        create index customers_by_name on customers (name, id) include (contract_end_key);
        create index customers_by_number on customers (number_key, id) include (contract_end_key);
        create index customers_by_creation on customers (created_at, id) include (contract_end_key);

        create table customer_tags (
            customer_id uuid,
            tag text collate "C",
            name text collate "C" not null,
            number_key bigint not null,
            contract_end_key date not null,
            created_at timestamptz not null,
            primary key (customer_id, tag)
        );
        create index customer_tags_by_name on customer_tags (tag, name, customer_id) include (contract_end_key);
        create index customer_tags_by_number on customer_tags (tag, number_key, customer_id) include (contract_end_key);
        create index customer_tags_by_contract_end on customer_tags (tag, contract_end_key, customer_id);
        create index customer_tags_by_creation on customer_tags (tag, created_at, customer_id)
            include (contract_end_key);
        create table taggings (id uuid primary key, changed integer not null);

        create table owned_customers (
            customer_id uuid,
            employee_id uuid,
            tag text collate "C",
            valid_from date,
            valid_to date not null,
            name text collate "C" not null,
            number_key bigint not null,
            contract_end_key date not null,
            created_at timestamptz not null
        );
        insert into owned_customers
            select c.id, a.employee_id, '', date '0001-01-01', date '9999-12-31',
                   c.name, c.number_key, c.contract_end_key, c.created_at
            from (select distinct customer_id, employee_id from kit.customer_access) a
            join customers c on c.id = a.customer_id;
        alter table owned_customers add primary key (customer_id, employee_id, tag, valid_from);
        -- One index a sort; what a list is filtered by lies in it as well, so that the table itself is not read.
        create index owned_customers_by_name on owned_customers (employee_id, tag, name, customer_id)
            include (contract_end_key, valid_from, valid_to);
        create index owned_customers_by_number on owned_customers (employee_id, tag, number_key, customer_id)
            include (contract_end_key, valid_from, valid_to);
        create index owned_customers_by_contract_end
            on owned_customers (employee_id, tag, contract_end_key, customer_id)
            include (valid_from, valid_to);
        create index owned_customers_by_creation on owned_customers (employee_id, tag, created_at, customer_id)
            include (contract_end_key, valid_from, valid_to);
        -- An index is read alone only where the visibility map is fresh.
        alter table owned_customers set
            (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02);
        alter table customer_tags set
            (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02);
    """)
