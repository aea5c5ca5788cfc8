"""Themes, tasks with ledger and notices, follow-ups, process definitions, processes, and what others tell."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
        create table themes (
            key text collate "C" primary key,
            name text not null,
            color text not null,
            active boolean not null
        );
        insert into themes (key, name, color, active) values
            ('delivery', '实施交付', '#2f6fed', true),
            ('value', '价值服务', '#1a9c6b', true),
            ('training', '培训', '#8a5cd6', true),
            ('renewal', '续约续费', '#e08a1e', true),
            ('upsell', '增购推进', '#d6456b', true);

        create table customers (
            id uuid primary key,
            label text not null,
            owners jsonb not null,
            version bigint not null
        );
        create table employees (
            id uuid primary key,
            manager_id uuid,
            role text not null,
            active boolean not null,
            version bigint not null
        );

        create table process_definitions (
            id uuid primary key,
            key text collate "C" not null,
            version int not null,
            name text not null,
            theme_key text not null references themes (key),
            state text not null,
            stages jsonb not null,
            allows_skipping boolean not null,
            created_at timestamptz not null,
            published_at timestamptz
        );
        create unique index process_definitions_by_key on process_definitions (key, version desc);
        create unique index one_draft on process_definitions (key) where state = 'DRAFT';
        create unique index one_published on process_definitions (key) where state = 'PUBLISHED';

        create table processes (
            id uuid primary key,
            customer_id uuid not null,
            definition_id uuid not null references process_definitions (id),
            definition_key text not null,
            state text not null,
            stage_key text not null,
            progress text[] not null,
            stage_entered_at timestamptz not null,
            stage_due_at timestamptz,
            paused_at timestamptz,
            owner_id uuid not null,
            revision bigint not null,
            started_at timestamptz not null,
            ended_at timestamptz,
            check ((state in ('RUNNING', 'PAUSED')) = (ended_at is null))
        );
        create index processes_by_start on processes (started_at, id);
        create index open_processes on processes (started_at, id) where ended_at is null;
        create index processes_by_customer on processes (customer_id, started_at, id);
        create index processes_by_owner on processes (owner_id, started_at, id);
        create index processes_by_stage on processes (definition_key, stage_key, started_at, id);
        create index processes_by_definition on processes (definition_key, started_at, id);

        create table process_transitions (
            process_id uuid references processes (id),
            revision bigint,
            action_id text not null,
            action text not null,
            from_stage_key text not null,
            to_stage_key text not null,
            reason text not null,
            actor text not null,
            occurred_at timestamptz not null,
            primary key (process_id, revision),
            unique (process_id, action_id)
        );
        create table kept_reasons (
            action_id text primary key,
            reason text not null,
            kept_at timestamptz not null
        );
        create index kept_reasons_by_age on kept_reasons (kept_at);

        create table tasks (
            id uuid primary key,
            customer_id uuid not null,
            title text not null,
            theme_key text not null references themes (key),
            assignee_id uuid not null,
            priority text not null,
            deadline_date date not null,
            deadline_time time,
            deadline_at timestamptz not null,
            armed_at timestamptz not null,
            description text not null,
            origin text not null,
            process_id uuid references processes (id),
            stage_key text not null,
            required boolean not null,
            state text not null,
            version bigint not null,
            created_by text not null,
            created_at timestamptz not null,
            closed_at timestamptz,
            closed_by text not null,
            cancel_reason text not null,
            original_deadline_at timestamptz not null,
            postponement_count int not null,
            overdue_noticed_for timestamptz,
            next_notice_at timestamptz,
            check ((state in ('TODO', 'IN_PROGRESS')) = (closed_at is null)),
            check (closed_at is null or next_notice_at is null)
        );
        create index tasks_by_deadline on tasks (deadline_at, id);
        create index tasks_by_assignee on tasks (assignee_id, deadline_at, id);
        create index tasks_by_customer on tasks (customer_id, deadline_at, id);
        create index tasks_by_theme on tasks (theme_key, deadline_at, id);
        create index tasks_by_process on tasks (process_id, deadline_at, id) where process_id is not null;
        create index open_tasks_by_deadline on tasks (deadline_at, id) where closed_at is null;
        create index open_tasks_by_assignee on tasks (assignee_id, deadline_at, id) where closed_at is null;
        create index open_tasks on tasks (id) where closed_at is null;
        create index tasks_to_notice on tasks (next_notice_at, id) where next_notice_at is not null;

        create table postponements (
            task_id uuid references tasks (id),
            number int,
            from_deadline_at timestamptz not null,
            to_deadline_at timestamptz not null,
            reason text not null,
            postponed_by text not null,
            postponed_at timestamptz not null,
            primary key (task_id, number)
        );
        create table task_notices (
            task_id uuid references tasks (id),
            kind text,
            due_at timestamptz,
            deadline_at timestamptz,
            noticed_at timestamptz not null,
            primary key (task_id, deadline_at, due_at, kind)
        );

        create table follow_ups (
            id uuid primary key,
            customer_id uuid not null,
            theme_key text not null references themes (key),
            occurred_at timestamptz not null,
            recorded_at timestamptz not null,
            channel text not null,
            content text not null,
            customer_feedback text not null,
            next_step text not null,
            task_id uuid references tasks (id),
            author_id uuid not null
        );
        create index follow_ups_by_occurrence on follow_ups (occurred_at, id);
        create index follow_ups_by_customer on follow_ups (customer_id, occurred_at, id);
        create index follow_ups_by_task on follow_ups (task_id, occurred_at, id) where task_id is not null;
        create index follow_ups_by_theme on follow_ups (theme_key, occurred_at, id);
        create index follow_ups_by_author on follow_ups (author_id, occurred_at, id);
    """)
