"""customers' tables."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
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
    Column("credit_code", Text),
    Column("parent_source", Text),
    Column("parent_external_id", Text),
    Column("parent_id", Uuid),
    Column("contract_end_key", Date, Computed("coalesce(last_contract_end, date '9999-12-31')")),
    Column("contract_end_version", BigInteger, nullable=False),
    Column("health_status", Text),
    Column("health_week", Text),
    Column("health_computed_at", DateTime(timezone=True)),
    Column("last_touch_at", DateTime(timezone=True)),
    Column("recurring_version", BigInteger, nullable=False, server_default="0"),
    Column("attributes", JSONB, nullable=False, server_default="{}"),
    Column("erased_at", DateTime(timezone=True)),
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
    Column("source", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("merged_into", Uuid),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    info={"customer": "customer_id"},
)
"""Read them through storage/contacts.py: a merged one lends what it knows to the one that it was merged into."""

labels = Table(
    "labels",
    metadata,
    Column("customer_id", Uuid, primary_key=True),
    Column("label", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("number_key", BigInteger, nullable=False),
    Column("contract_end_key", Date, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("given_by", Text, nullable=False),
    Column("given_at", DateTime(timezone=True)),
    info={"customer": "customer_id"},
)
"""Which customer carries which label (see storage/labels.py), by whom and since when, with what lists are sorted by."""

segments = Table(
    "segments",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("condition", JSONB, nullable=False),
    Column("found_until", Uuid),
    Column("version", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("deleted_at", DateTime(timezone=True)),
)
"""Conditions by name. `found_until`: up to which customer they were looked at; null: all of them were."""

taggings = Table(
    "taggings",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("changed", Integer, nullable=False),
)
"""What a call that changes many customers answered, for its repeats."""

owned_customers = Table(
    "owned_customers",
    metadata,
    Column("customer_id", Uuid, primary_key=True),
    Column("employee_id", Uuid, primary_key=True),
    Column("label", Text, primary_key=True),
    Column("valid_from", Date, primary_key=True),
    Column("valid_to", Date, nullable=False),
    Column("name", Text, nullable=False),
    Column("number_key", BigInteger, nullable=False),
    Column("contract_end_key", Date, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    info={"customer": "customer_id"},
)
"""The lists of each employee's customers: all of them under the label "", and those of
each tag and group. A row a period in which
he owns the customer, in whatever roles. Follows from customers, kit.customer_access and labels."""

timeline = Table(
    "timeline",
    metadata,
    Column("customer_id", Uuid, primary_key=True),
    Column("occurred_at", DateTime(timezone=True), primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("facts", JSONB, nullable=False),
    Column("changes", JSONB, nullable=False),
    info={"customer": "customer_id"},
)
"""What happened at a customer. `changes`: field → [before, after]."""

timeline_objects = Table(
    "timeline_objects",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("object_id", Text, primary_key=True),
    Column("customer_id", Uuid, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("facts", JSONB, nullable=False),
    info={"customer": "customer_id"},
)
"""What other services told last of a task, a process, an order, a customer's health: what comes next is compared."""

churns = Table(
    "churns",
    metadata,
    Column("customer_id", Uuid, primary_key=True),
    Column("contract_end", Date, primary_key=True),
    info={"customer": "customer_id"},
)
"""Ends of contracts by which a customer was noticed to have churned."""

customers_days = Table(
    "customers_days",
    metadata,
    Column("day", Date, primary_key=True),
    Column("finished_at", DateTime(timezone=True), nullable=False),
)
"""Business dates whose turn is done: churn noticed, segments looked at again."""

attributes = Table(
    "attributes",
    metadata,
    Column("key", Text, primary_key=True),
    Column("label", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("required", Boolean, nullable=False),
    Column("personal", Boolean, nullable=False),
    Column("options", JSONB, nullable=False),
    Column("minimum", Text, nullable=False),
    Column("maximum", Text, nullable=False),
    Column("pattern", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("retired_at", DateTime(timezone=True)),
    Column("values_at_end", BigInteger),
)
"""What is kept beyond the standard fields. Values lie in customers.attributes, national ids there masked."""

national_ids = Table(
    "national_ids",
    metadata,
    Column("customer_id", Uuid, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("token", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    info={"customer": "customer_id"},
)
"""National ids, encrypted (see services.shared.keyring); `digest` is equal where they are."""

erasures = Table(
    "erasures",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("customer_id", Uuid, nullable=False),
    Column("ground", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("confirmed_by", JSONB, nullable=False),
    info={"customer": "customer_id"},
)
"""Erasures of personal data. `confirmed_by`: service → the id of the record in its audit that proves it."""

contact_merges = Table(
    "contact_merges",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("customer_id", Uuid, nullable=False),
    Column("into_id", Uuid, nullable=False),
    Column("merged_by", Text, nullable=False),
    Column("merged_at", DateTime(timezone=True), nullable=False),
    Column("undone_at", DateTime(timezone=True)),
    info={"customer": "customer_id"},
)

merged_contacts = Table(
    "merged_contacts",
    metadata,
    Column("merge_id", Uuid, primary_key=True),
    Column("contact_id", Uuid, primary_key=True),
    Column("customer_id", Uuid, nullable=False),
    Column("merged_into", Uuid),
    info={"customer": "customer_id"},
)
"""What a merge moved. `merged_into`: where the contact was merged into before; null: it was shown."""

contacts_apart = Table(
    "contacts_apart",
    metadata,
    Column("customer_id", Uuid, primary_key=True),
    Column("contact_id", Uuid, primary_key=True),
    Column("other_id", Uuid, primary_key=True),
    Column("said_by", Text, nullable=False),
    Column("said_at", DateTime(timezone=True), nullable=False),
    info={"customer": "customer_id"},
)
"""Pairs of contacts that are different persons; contact_id < other_id."""

customers_with_duplicates = Table(
    "customers_with_duplicates",
    metadata,
    Column("customer_id", Uuid, primary_key=True),
    info={"customer": "customer_id"},
)

tags = Table(
    "tags",
    metadata,
    Column("tag", Text, primary_key=True),
    Column("category", Text, nullable=False),
    Column("weight", Integer, nullable=False),
    Column("meaning", Text, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)
"""Tags that somebody described; a tag that a customer carries needs no row here."""

groups = Table(
    "groups",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("description", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("version", BigInteger, nullable=False),
)
