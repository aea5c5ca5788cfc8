"""Roles, deputies, versions of departments.

The release before reads this schema as it is. It must not write beside this one: it knows nothing of the projection
that every change is written to as well.
"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("""
        alter table departments
            add version bigint not null default 1,
            add deleted boolean not null default false,
            drop constraint departments_parent_id_name_key;
        create unique index departments_by_place on departments (parent_id, name) nulls not distinct
            where not deleted;
        create index departments_by_leader on departments (leader_id);
        alter table employees add successor_id uuid references employees (id);
        create index employees_by_role on employees (role);
        create index employees_by_successor on employees (successor_id) where successor_id is not null;
        create table roles (
            key text collate "C" primary key,
            name text not null,
            permissions integer[] not null,
            scope text not null check (scope in ('OWN', 'DEPARTMENT', 'ALL')),
            deleted boolean not null default false,
            version bigint not null,
            created_at timestamptz not null
        );
        create table deputies (
            id uuid primary key,
            absent_id uuid not null references employees (id),
            deputy_id uuid not null references employees (id),
            valid_from date not null,
            valid_to date not null,
            deleted boolean not null default false,
            version bigint not null,
            created_at timestamptz not null,
            check (valid_from <= valid_to),
            check (absent_id <> deputy_id)
        );
        create index deputies_by_absent on deputies (absent_id, valid_to, id);
        create index deputies_by_deputy on deputies (deputy_id, valid_to, id);
    """)
