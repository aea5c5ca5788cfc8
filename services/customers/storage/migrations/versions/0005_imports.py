"""Imports that are kept whole until they end; sources and their links."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("""
        alter table customers
            add credit_code text collate "C",
            add parent_source text,
            add parent_external_id text collate "C",
            add parent_id uuid;
        create index customers_by_credit_code on customers (credit_code) where credit_code is not null;
        create index customers_by_parent on customers (parent_id, id) where parent_id is not null;
        -- Those whose parent hasn't come yet.
        create index customers_without_parent on customers (parent_external_id)
            where parent_id is null and parent_external_id is not null;

        create table sources (
            name text primary key,
            ours text[] not null,
            contacts_ours text[] not null,
            imported_at timestamptz not null
        );
        -- Where a customer is known besides the source that it was created by, which stands in customers.
        create table customer_links (
            source text,
            external_id text collate "C",
            customer_id uuid not null references customers (id),
            linked_at timestamptz not null,
            primary key (source, external_id)
        );
        create index customer_links_by_customer on customer_links (customer_id);

        create table imports (
            id uuid primary key,
            kind text not null,
            source text not null,
            file_name text not null,
            mapping bytea not null,
            header text[] not null,
            digest bytea not null,
            by_record boolean not null,
            bytes bigint not null,
            state text not null,
            step text not null,
            version bigint not null,
            bytes_read bigint not null default 0,
            lines_read bigint not null default 0,
            rows_read bigint not null default 0,
            staged bigint not null default 0,
            applied_line bigint not null default 0,
            created bigint not null default 0,
            updated bigint not null default 0,
            unchanged bigint not null default 0,
            superseded bigint not null default 0,
            rejected bigint not null default 0,
            failure text not null default '',
            created_by text not null,
            created_at timestamptz not null,
            updated_at timestamptz not null,
            ended_at timestamptz,
            worked_seconds double precision not null default 0
        );
        create index imports_under_way on imports (id) where ended_at is null;
        create table import_chunks (
            import_id uuid,
            position integer,
            content bytea not null,
            primary key (import_id, position)
        );
        alter table import_chunks alter content set storage external;  -- encrypted: nothing can be compressed
        -- Places in a file from which it can be read again.
        create table import_places (
            import_id uuid,
            line bigint,
            start bigint not null,
            primary key (import_id, line)
        );
        create table rejected_rows (
            import_id uuid,
            line bigint,
            place smallint,
            step text not null,
            "column" text not null,
            value text not null,
            reason text not null,
            superseded boolean not null,
            cells bytea,
            primary key (import_id, line, place)
        );
        -- A table for the rows of each import under way.
        create schema staging;
        drop table import_rows;
    """)
