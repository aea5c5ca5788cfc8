"""Copies of notices for deputies. Owners and employees are the kit's: the projections of them that were kept here are
dead, and go. The release before, which writes them, does not run on this schema.
"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("""
        alter table inbox_items add column on_behalf_of_id uuid;
        drop table customer_versions;
        drop table customer_owners;
        drop table employees;
    """)
