"""The audit's tables, in the schema "kit" of every service's database."""

from sqlalchemy import BigInteger, Column, DateTime, Identity, Integer, LargeBinary, MetaData, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(schema="kit")

audit = Table(
    "audit",
    metadata,
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    Column("id", Uuid, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("acting_for", Text, nullable=False),
    Column("means", Text, nullable=False),
    Column("peer", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("change", JSONB, nullable=False),
    Column("person", Text, nullable=False),
    Column("personal", LargeBinary),
    Column("request_id", Text, nullable=False),
    Column("block", BigInteger),
)
"""`personal`: what of the change is personal, encrypted under the key of `person`; `block` is set once, by sealing."""

person_keys = Table(
    "person_keys",
    metadata,
    Column("person", Text, primary_key=True),
    Column("key", LargeBinary, nullable=False),
)
"""A key per person or customer, 32 bytes. Without it what was encrypted under it is gone for good."""

audit_blocks = Table(
    "audit_blocks",
    metadata,
    Column("number", BigInteger, primary_key=True),
    Column("records", Integer, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("sealed_at", DateTime(timezone=True), nullable=False),
)
