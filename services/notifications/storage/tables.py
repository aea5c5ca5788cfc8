"""notifications' tables, as the migrations make them."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Interval, MetaData, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

customer_versions = Table(
    "customer_versions",
    metadata,
    Column("customer_id", Uuid, primary_key=True),
    Column("version", BigInteger),
)

customer_owners = Table(
    "customer_owners",
    metadata,
    Column("customer_id", Uuid, primary_key=True),
    Column("employee_id", Uuid, primary_key=True),
)
"""A projection of the customers service, with customer_versions; several roles of one employee are one row."""

employees = Table(
    "employees",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("active", Boolean),
    Column("version", BigInteger),
)
"""A projection of the identity service."""

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
)
"""`cause`: what it tells of, once for each employee."""
