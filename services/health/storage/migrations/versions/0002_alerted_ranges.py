"""A range knows whether its alerts are delivered; those of finished runs count as alerted, as was assumed so far."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("""
        alter table evaluation_ranges add column alerted_at timestamptz;
        update evaluation_ranges set alerted_at = evaluations.finished_at
        from evaluations
        where evaluations.id = evaluation_ranges.run_id and evaluations.finished_at is not null;
        create index unalerted_ranges on evaluation_ranges (done_at, run_id, number)
            where done_at is not null and transitions > 0 and alerted_at is null;
    """)
