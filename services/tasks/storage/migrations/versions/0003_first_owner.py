"""For whom a process was started, which a repeat of its start is told by: its owner may have handed it over since."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("""
        alter table processes add column first_owner_id uuid;
        update processes set first_owner_id = owner_id;
        alter table processes alter column first_owner_id set not null;
    """)
