"""Answered requests, outbox, inbox, dead letters."""

from alembic import op

revision = "0001"
down_revision = None

# The previous release must run on the new schema: add, fill, switch over, and drop only a release later.


def upgrade() -> None:
    op.execute("""
        create schema if not exists kit;
        create table kit.requests (
            caller text, method text, request_id text,
            request_hash bytea not null, result_id uuid not null, created_at timestamptz not null,
            primary key (caller, method, request_id)
        );
        create index requests_by_age on kit.requests (created_at);
        create table kit.outbox (
            position bigint generated always as identity primary key,
            id uuid not null, subject text not null, event bytea not null,
            created_at timestamptz not null, published_at timestamptz
        );
        create index outbox_unpublished on kit.outbox (position) where published_at is null;
        create index outbox_by_publication on kit.outbox (published_at);
        create table kit.inbox (
            consumer text, event_id uuid, received_at timestamptz not null,
            primary key (consumer, event_id)
        );
        create index inbox_by_age on kit.inbox (received_at);
        create table kit.dead_letters (
            consumer text, event_id uuid, subject text not null, event bytea not null,
            error text not null, failed_at timestamptz not null,
            primary key (consumer, event_id)
        );
        create table kit.stream (name text primary key, created_at text not null);
    """)
