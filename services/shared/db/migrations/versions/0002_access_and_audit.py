"""The projection of identity, owners of customers, audit."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("""
        create extension if not exists ltree;
        create table kit.directory (
            revision bigint not null, synced_at timestamptz, customers_synced_at timestamptz,
            one boolean primary key default true check (one)
        );
        insert into kit.directory (revision) values (0);
        create table kit.employees (
            id uuid primary key,
            login text collate "C" not null,
            display_name text not null,
            department_id uuid not null,
            manager_id uuid,
            role_key text not null,
            active boolean not null,
            successor_id uuid,
            version bigint not null
        );
        create index employees_by_department on kit.employees (department_id);
        create index employees_by_login on kit.employees (login);
        create table kit.departments (
            id uuid primary key, path ltree not null, deleted boolean not null, version bigint not null
        );
        create index departments_by_path on kit.departments using gist (path);
        create table kit.roles (
            key text primary key, permissions integer[] not null, scope text not null, deleted boolean not null,
            version bigint not null
        );
        create table kit.deputies (
            id uuid primary key,
            absent_id uuid not null,
            deputy_id uuid not null,
            valid_from date not null,
            valid_to date not null,
            deleted boolean not null,
            version bigint not null
        );
        create index deputies_by_absent on kit.deputies (absent_id, deputy_id);
        create table kit.revoked_sessions (session_id uuid primary key, tokens_expire_at timestamptz not null);
        create table kit.customers (id uuid primary key, version bigint not null);
        create table kit.customer_access (
            customer_id uuid,
            role text,
            employee_id uuid not null,
            valid_from date not null,
            valid_to date not null,
            primary key (customer_id, role)
        );
        -- Both ways without the heap: is this customer mine, and which customers are mine.
        create index customer_access_by_customer
            on kit.customer_access (customer_id, employee_id) include (valid_from, valid_to);
        create index customer_access_by_employee
            on kit.customer_access (employee_id, customer_id) include (valid_from, valid_to);

        create table kit.audit (
            position bigint generated always as identity primary key,
            id uuid not null,
            occurred_at timestamptz not null,
            actor text not null,
            acting_for text not null,
            means text not null,
            peer text not null,
            method text collate "C" not null,
            object_id text not null,
            customer_id text not null,
            change jsonb not null,
            person text not null,
            personal bytea,
            request_id text not null,
            block bigint
        );
        create index audit_by_time on kit.audit (occurred_at, id);
        create index audit_by_actor on kit.audit (actor, occurred_at, id);
        create index audit_by_object on kit.audit (object_id, occurred_at, id);
        create index audit_by_customer on kit.audit (customer_id, occurred_at, id) where customer_id <> '';
        create index audit_by_block on kit.audit (block, position);
        create table kit.audit_blocks (
            number bigint primary key, records integer not null, hash bytea not null, sealed_at timestamptz not null
        );
        create table kit.person_keys (person text primary key, key bytea not null);
        create function kit.keep_audit() returns trigger language plpgsql as $$
        begin
            if tg_table_name = 'audit' and tg_op = 'UPDATE'
                and to_jsonb(old) ->> 'block' is null and to_jsonb(new) - 'block' = to_jsonb(old) - 'block' then
                return new;
            end if;
            raise exception 'the audit is only ever added to';
        end $$;
        create trigger keep_audit before update or delete on kit.audit
            for each row execute function kit.keep_audit();
        create trigger keep_all_audit before truncate on kit.audit execute function kit.keep_audit();
        create trigger keep_blocks before update or delete on kit.audit_blocks
            for each row execute function kit.keep_audit();
        create trigger keep_all_blocks before truncate on kit.audit_blocks execute function kit.keep_audit();
    """)
