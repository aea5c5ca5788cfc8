"""Custom attributes, national ids under encryption, erasures."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("""
        alter table customers
            add attributes jsonb not null default '{}',
            add erased_at timestamptz;

        create table attributes (
            key text collate "C" primary key,
            label text not null,
            purpose text not null,
            type text not null,
            required boolean not null,
            personal boolean not null,
            options jsonb not null,
            minimum text not null,
            maximum text not null,
            pattern text not null,
            version bigint not null,
            created_at timestamptz not null,
            retired_at timestamptz,
            values_at_end bigint
        );

        create table national_ids (
            customer_id uuid,
            key text collate "C",
            token bytea not null,
            digest bytea not null,
            primary key (customer_id, key)
        );

        create table erasures (
            id uuid primary key,
            customer_id uuid not null,
            ground text not null,
            requested_by text not null,
            requested_at timestamptz not null,
            confirmed_by jsonb not null
        );
        create index erasures_by_customer on erasures (customer_id);
    """)
