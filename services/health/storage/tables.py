"""health's tables, as the migrations make them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

customers = Table(
    "customers",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("external_id", Text),
    Column("seats", Integer),
    Column("created_at", DateTime(timezone=True)),
    Column("version", BigInteger),
    info={"customer": "id"},
)
"""A projection of the customers service."""

FIGURES = ("active_users", "active_users_14d", "events", "errors", "seconds", "tickets_opened", "urgent_tickets_open")

usage = Table(
    "usage",
    metadata,
    Column("customer_id", Uuid, primary_key=True),
    Column("day", Date, primary_key=True),
    *(Column(figure, BigInteger) for figure in FIGURES),
    info={"customer": "customer_id"},
)

usage_receipts = Table(
    "usage_receipts",
    metadata,
    Column("source", Text, primary_key=True),
    Column("source_id", Text, primary_key=True),
    Column("digest", LargeBinary),
    Column("day", Date),
)
"""Rows that took effect, so that one that is sent again after a correction doesn't undo it. Names no
customer."""

parked_usage = Table(
    "parked_usage",
    metadata,
    Column("source", Text, primary_key=True),
    Column("source_id", Text, primary_key=True),
    Column("customer_key", Text),
    Column("row", LargeBinary),
    Column("received_at", DateTime(timezone=True)),
)
"""Rows (UsageRow) of customers that are not known yet, by the customer's id or external id."""

rule_sets = Table(
    "rule_sets",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("version", Integer),
    Column("name", Text),
    Column("at_risk", JSONB),
    Column("excellent", JSONB),
    Column("minimum_data_share", Numeric),
    Column("created_at", DateTime(timezone=True)),
    Column("created_by", Text),
    Column("published_at", DateTime(timezone=True)),
)

evaluations = Table(
    "evaluations",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("week", Date),
    Column("number", Integer),
    Column("rule_set_id", Uuid),
    Column("created_at", DateTime(timezone=True)),
    Column("planned_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
)
"""Runs. `week` is its Monday."""

evaluation_ranges = Table(
    "evaluation_ranges",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("first_id", Uuid),
    Column("end_id", Uuid),
    Column("done_at", DateTime(timezone=True)),
    Column("customers", BigInteger),
    Column("transitions", BigInteger),
    Column("alerted_at", DateTime(timezone=True)),
)
"""first_id ≤ customer < end_id. `alerted_at`: when all alerts of its transitions were delivered."""

health_results = Table(
    "health_results",
    metadata,
    Column("customer_id", Uuid, primary_key=True),
    Column("week", Date, primary_key=True),
    Column("status", Text),
    Column("previous_status", Text),
    Column("rule_set_id", Uuid),
    Column("inputs", JSONB),
    Column("data_until", Date),
    Column("computed_at", DateTime(timezone=True)),
    info={"customer": "customer_id"},
)
"""`inputs`: metric → decimal as text, or null."""

health_current = Table(
    "health_current",
    metadata,
    Column("customer_id", Uuid, primary_key=True),
    Column("status", Text),
    info={"customer": "customer_id"},
)
"""The status of each customer's latest week; written only when it changes."""

health_transitions = Table(
    "health_transitions",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("customer_id", Uuid, primary_key=True),
    Column("week", Date),
    Column("from_status", Text),
    Column("to_status", Text),
    info={"customer": "customer_id"},
)

alert_subscriptions = Table(
    "alert_subscriptions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("any_fall", Boolean),
    Column("from_status", Text),
    Column("to_status", Text),
    Column("created_by", Text),
    Column("created_at", DateTime(timezone=True)),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("customer_id", Uuid),
    Column("week", Date),
    Column("from_status", Text),
    Column("to_status", Text),
    Column("run_id", Uuid),
    Column("moved_metric", Text),
    Column("moved_before", Numeric),
    Column("moved_after", Numeric),
    Column("raised_at", DateTime(timezone=True)),
    Column("acknowledged_by", Uuid),
    Column("acknowledged_at", DateTime(timezone=True)),
    info={"customer": "customer_id"},
)
