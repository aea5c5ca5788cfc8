"""Passwords, guesses, OpenID sign-ins under way, sessions that end, keys that retire. The release before runs on it."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("""
        create table passwords (
            employee_id uuid primary key references employees (id),
            hash text not null,
            must_change boolean not null,
            changed_at timestamptz not null
        );
        -- By the hash of a login, whether somebody has it or not.
        create table failed_sign_ins (
            login_hash bytea primary key,
            failures integer not null,
            delayed_until timestamptz not null
        );
        create index failed_sign_ins_by_age on failed_sign_ins (delayed_until);
        create table oidc_sign_ins (
            state_hash bytea primary key,
            nonce text not null,
            code_verifier text not null,
            redirect_uri text not null,
            expires_at timestamptz not null
        );
        create index oidc_sign_ins_by_age on oidc_sign_ins (expires_at);
        alter table sessions add column expires_at timestamptz not null default now() + interval '12 hours';
        create index sessions_by_employee on sessions (employee_id);
        create index sessions_by_age on sessions (expires_at);
        create index refresh_tokens_by_age on refresh_tokens (expires_at);
        alter table signing_keys add column retired_at timestamptz;
    """)
