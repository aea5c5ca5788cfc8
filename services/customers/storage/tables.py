"""customers' tables."""

from sqlalchemy import BigInteger, Column, Computed, Date, DateTime, Integer, MetaData, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

customers = Table(
    "customers",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("number", Text, nullable=False, unique=True),
    Column("number_key", BigInteger, nullable=False),
    Column("external_id", Text, nullable=False, unique=True),
    Column("source", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("short_name", Text),
    Column("industry", Text),
    Column("region", Text),
    Column("kind", Text, nullable=False),
    Column("size", Text),
    Column("value_tier", Text),
    Column("seats", Integer),
    Column("first_sign_date", Date),
    Column("last_contract_end", Date),
    Column("contract_end_key", Date, Computed("coalesce(last_contract_end, date '9999-12-31')")),
    Column("contract_end_version", BigInteger, nullable=False),
    Column("health_status", Text),
    Column("health_week", Text),
    Column("health_computed_at", DateTime(timezone=True)),
    Column("version", BigInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    info={"customer": "id"},
)

numbers = Table(
    "numbers",
    metadata,
    Column("day", Date, primary_key=True),
    Column("last", Integer, nullable=False),
)

contacts = Table(
    "contacts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("customer_id", Uuid, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("phone", Text),
    Column("wechat_id", Text),
    Column("post", Text),
    Column("email", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    info={"customer": "customer_id"},
)

customer_tags = Table(
    "customer_tags",
    metadata,
    Column("customer_id", Uuid, primary_key=True),
    Column("tag", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("number_key", BigInteger, nullable=False),
    Column("contract_end_key", Date, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    info={"customer": "customer_id"},
)
"""Which customer carries which tag, with what lists are sorted by."""

taggings = Table(
    "taggings",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("changed", Integer, nullable=False),
)
"""What a call of TagCustomers answered, for its repeats."""

owned_customers = Table(
    "owned_customers",
    metadata,
    Column("customer_id", Uuid, primary_key=True),
    Column("employee_id", Uuid, primary_key=True),
    Column("tag", Text, primary_key=True),
    Column("valid_from", Date, primary_key=True),
    Column("valid_to", Date, nullable=False),
    Column("name", Text, nullable=False),
    Column("number_key", BigInteger, nullable=False),
    Column("contract_end_key", Date, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    info={"customer": "customer_id"},
)
"""The lists of each employee's customers: all of them under the tag "", and those of each tag. A row a period in which
he owns the customer, in whatever roles. Follows from customers, kit.customer_access and customer_tags."""

import_rows = Table(
    "import_rows",
    metadata,
    Column("import_id", Uuid, primary_key=True),
    Column("line", BigInteger, primary_key=True),
    Column("key", Text, nullable=False),
    Column("row", JSONB, nullable=False),
)
