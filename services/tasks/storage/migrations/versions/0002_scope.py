"""Employees and owners are the kit's; follow-ups say for whom a deputy wrote them; open tasks by customer."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    # The projection of employees and the owners of customers go: the kit keeps both, in kit.employees and
    # kit.customer_access, and fills them from their owners when the service starts.
    op.execute("""
        drop table employees;
        alter table customers drop column owners;
        alter table follow_ups add column on_behalf_of_id uuid;
        create index open_tasks_by_customer on tasks (customer_id, deadline_at, id) where closed_at is null;
    """)
