"""Tables of what other services tell of customers, and of what they are found by."""

from sqlalchemy import Boolean, Column, Date, DateTime, Integer, Numeric, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY

from services.customers.storage.tables import metadata

customer_recurring = Table(
    "customer_recurring",
    metadata,
    Column("customer_id", Uuid, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("from_month", Date, primary_key=True),
    Column("to_month", Date, nullable=False),
    Column("mrr", Numeric, nullable=False),
    info={"customer": "customer_id"},
)
"""Monthly recurring revenue of all months: a currency's is `mrr`, in its major unit, in each month from `from_month` to
`to_month`, both the first days of months and included; an open end is 9999-12-01. The ranges of a currency don't
overlap; months in none of them have none. customers.recurring_version is the version that was told last, 0 where
none was."""

customer_metrics = Table(
    "customer_metrics",
    metadata,
    Column("customer_id", Uuid, primary_key=True),
    Column("metric", Text, primary_key=True),
    Column("value", Numeric),
    Column("week", Text, nullable=False),
    Column("computed_at", DateTime(timezone=True), nullable=False),
    info={"customer": "customer_id"},
)
"""What the latest week of health was computed from, by the metric's key; `value` is null where it was not known. `week`
is the ISO week since which the value is the same, e.g. "2026-W47"."""

customer_search = Table(
    "customer_search",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("customer_id", Uuid, nullable=False),
    Column("is_contact", Boolean, nullable=False),
    Column("name", Text, nullable=False),
    Column("short_name", Text, nullable=False),
    Column("codes", Text, nullable=False),
    Column("pinyin", Text, nullable=False),
    Column("initials", Text, nullable=False),
    Column("tokens", ARRAY(Integer), nullable=False),
    info={"customer": "customer_id"},
)
"""What customers and their contacts are found by (domain/search.py). `id` is the customer's or the contact's; `codes`:
the number and the external ids, with spaces between them."""
