"""Customers, usage, rule sets with the built-in one, evaluations, alerts."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
        create table customers (
            id uuid primary key,
            external_id text collate "C" not null,
            seats integer,
            created_at timestamptz not null,
            version bigint not null
        );
        create index customers_by_external_id on customers (external_id);

        create table usage (
            customer_id uuid, day date,
            active_users bigint, active_users_14d bigint, events bigint, errors bigint, seconds bigint,
            tickets_opened bigint, urgent_tickets_open bigint,
            primary key (customer_id, day)
                include (active_users, active_users_14d, tickets_opened, urgent_tickets_open)
        ) with (autovacuum_vacuum_insert_scale_factor = 0.02);
        create index usage_by_day on usage using brin (day) with (autosummarize = on);
        create table usage_receipts (
            source text, source_id text, digest bytea not null, day date not null,
            primary key (source, source_id)
        );
        create index usage_receipts_by_day on usage_receipts (day);
        create table parked_usage (
            source text, source_id text,
            customer_key text collate "C" not null, row bytea not null, received_at timestamptz not null,
            primary key (source, source_id)
        );
        create index parked_usage_by_customer on parked_usage (customer_key);

        create table rule_sets (
            id uuid primary key,
            version integer not null unique,
            name text not null,
            at_risk jsonb not null,
            excellent jsonb not null,
            minimum_data_share numeric not null,
            created_at timestamptz not null,
            created_by text not null,
            published_at timestamptz
        );
        create index rule_sets_by_publication on rule_sets (published_at);

        create table evaluations (
            id uuid primary key,
            week date not null,
            number integer not null,
            rule_set_id uuid references rule_sets (id),
            created_at timestamptz not null,
            planned_at timestamptz,
            finished_at timestamptz,
            unique (week, number)
        );
        create table evaluation_ranges (
            run_id uuid references evaluations (id), number integer,
            first_id uuid not null, end_id uuid not null,
            done_at timestamptz, customers bigint not null default 0, transitions bigint not null default 0,
            primary key (run_id, number)
        );
        create table health_results (
            customer_id uuid, week date,
            status text not null, previous_status text not null,
            rule_set_id uuid not null, inputs jsonb not null, data_until date, computed_at timestamptz not null,
            primary key (customer_id, week)
        );
        create index health_results_by_week on health_results (week, status);
        create table health_current (customer_id uuid primary key, status text not null);
        create table health_transitions (
            run_id uuid, customer_id uuid,
            week date not null, from_status text not null, to_status text not null,
            primary key (run_id, customer_id)
        );

        create table alert_subscriptions (
            id uuid primary key,
            any_fall boolean not null, from_status text, to_status text,
            created_by text not null, created_at timestamptz not null
        );
        create table alerts (
            id uuid primary key,
            customer_id uuid not null, week date not null, from_status text not null, to_status text not null,
            run_id uuid not null,
            moved_metric text, moved_before numeric, moved_after numeric,
            raised_at timestamptz not null,
            acknowledged_by uuid, acknowledged_at timestamptz,
            unique (customer_id, week, from_status, to_status)
        );
        create index alerts_by_run on alerts (run_id, customer_id);
        create index alerts_by_age on alerts (raised_at, id);
        create index open_alerts_by_age on alerts (raised_at, id) where acknowledged_at is null;
    """)
    # The rules that most start with. The last condition of the excellent level reads "at most 0": "less than 0" is
    # impossible and refused.
    op.execute("""
        insert into rule_sets (id, version, name, at_risk, excellent, minimum_data_share, created_at, created_by,
                               published_at)
        values ('019aa000-0000-7000-8000-000000000001', 1, '默认规则 / Default rules',
            '{"any": [
                {"field": "active_ratio_14d", "operator": "<=", "value": "0.5"},
                {"field": "active_days_14d", "operator": "<=", "value": "7"},
                {"field": "tickets_14d", "operator": ">=", "value": "5"},
                {"field": "urgent_open_tickets_7d", "operator": ">=", "value": "2"}]}',
            '{"all": [
                {"field": "active_ratio_14d", "operator": ">=", "value": "0.8"},
                {"field": "active_days_14d", "operator": ">=", "value": "9"},
                {"field": "tickets_14d", "operator": "<=", "value": "2"},
                {"field": "urgent_open_tickets_7d", "operator": "<=", "value": "0"}]}',
            0.5, now(), 'machine:kejing', now());
    """)
