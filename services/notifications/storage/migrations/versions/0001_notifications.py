"""Owners, employees, inbox items."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
        create table customer_versions (customer_id uuid primary key, version bigint not null);
        create table customer_owners (
            customer_id uuid, employee_id uuid,
            primary key (customer_id, employee_id)
        );
        create table employees (id uuid primary key, active boolean not null, version bigint not null);
        create table inbox_items (
            id uuid primary key,
            employee_id uuid not null,
            cause text collate "C" not null,
            kind text not null,
            customer_id uuid, task_id uuid, alert_id uuid, process_id uuid,
            facts jsonb not null,
            late_by interval not null,
            created_at timestamptz not null,
            read_at timestamptz,
            unique (employee_id, cause)
        );
        create index inbox_by_age on inbox_items (employee_id, created_at, id);
        create index unread_by_age on inbox_items (employee_id, created_at, id) where read_at is null;
    """)
