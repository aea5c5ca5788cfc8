"""notifications' tables, as the migrations make them."""

from sqlalchemy import Column, DateTime, Interval, MetaData, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

inbox_items = Table(
    "inbox_items",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("employee_id", Uuid),
    Column("cause", Text),
    Column("kind", Text),
    Column("customer_id", Uuid),
    Column("task_id", Uuid),
    Column("alert_id", Uuid),
    Column("process_id", Uuid),
    Column("facts", JSONB),
    Column("late_by", Interval),
    Column("created_at", DateTime(timezone=True)),
    Column("read_at", DateTime(timezone=True)),
    Column("on_behalf_of_id", Uuid),
    info={"customer": "customer_id"},
)
"""`cause`: what it tells of, once for each employee. `on_behalf_of_id`: whose notice it is, in a deputy's inbox."""
