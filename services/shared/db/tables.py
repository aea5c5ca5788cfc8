"""The kit's own tables, in the schema "kit" of every service's database."""

from sqlalchemy import BigInteger, Column, DateTime, Identity, Index, LargeBinary, MetaData, Table, Text, Uuid, text

metadata = MetaData(schema="kit")

requests = Table(
    "requests",
    metadata,
    Column("caller", Text, primary_key=True),
    Column("method", Text, primary_key=True),
    Column("request_id", Text, primary_key=True),
    Column("request_hash", LargeBinary, nullable=False),
    Column("result_id", Uuid, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    Column("id", Uuid, nullable=False),
    Column("subject", Text, nullable=False),
    Column("event", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("published_at", DateTime(timezone=True)),
    Index("outbox_unpublished", "position", postgresql_where=text("published_at is null")),
)

inbox = Table(
    "inbox",
    metadata,
    Column("consumer", Text, primary_key=True),
    Column("event_id", Uuid, primary_key=True),
    Column("received_at", DateTime(timezone=True), nullable=False),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("consumer", Text, primary_key=True),
    Column("event_id", Uuid, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("event", LargeBinary, nullable=False),
    Column("error", Text, nullable=False),
    Column("failed_at", DateTime(timezone=True), nullable=False),
)

stream = Table(
    "stream",
    metadata,
    Column("name", Text, primary_key=True),
    Column("created_at", Text, nullable=False),
)
