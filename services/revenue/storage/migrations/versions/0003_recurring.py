"""What each customer's recurring revenue is in all months, as it was told to others last."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("""
        create table recurring (
            customer_id uuid primary key,
            ranges jsonb not null,
            version bigint not null
        );
    """)
