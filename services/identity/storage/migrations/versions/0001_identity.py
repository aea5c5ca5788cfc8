"""Departments, employees, sessions, signing keys."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
        create table departments (
            id uuid primary key,
            name text collate "C" not null,
            parent_id uuid references departments (id),
            leader_id uuid,
            created_at timestamptz not null,
            unique nulls not distinct (parent_id, name)
        );
        create index departments_by_name on departments (name, id);
        create table employees (
            id uuid primary key,
            login text collate "C" not null unique,
            display_name text not null,
            department_id uuid not null references departments (id),
            role text not null,
            active boolean not null,
            manager_id uuid references employees (id),
            version bigint not null,
            created_at timestamptz not null
        );
        create index employees_by_department on employees (department_id, login);
        alter table departments add foreign key (leader_id) references employees (id);
        create table sessions (
            id uuid primary key,
            employee_id uuid not null references employees (id),
            created_at timestamptz not null,
            revoked_at timestamptz
        );
        create table refresh_tokens (
            hash bytea primary key,
            session_id uuid not null references sessions (id) on delete cascade,
            expires_at timestamptz not null,
            used_at timestamptz
        );
        create index refresh_tokens_by_session on refresh_tokens (session_id);
        create table used_assertions (jti text primary key, expires_at timestamptz not null);
        create index used_assertions_by_age on used_assertions (expires_at);
        create table signing_keys (
            id uuid primary key,
            public bytea not null,
            sealed_private bytea not null,
            created_at timestamptz not null
        );
    """)
