"""Tables of imports, of the sources they come from, and of the links between those."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
)

from services.customers.storage.tables import metadata

sources = Table(
    "sources",
    metadata,
    Column("name", Text, primary_key=True),
    Column("ours", ARRAY(Text), nullable=False),
    Column("contacts_ours", ARRAY(Text), nullable=False),
    Column("imported_at", DateTime(timezone=True), nullable=False),
)
"""`ours`, `contacts_ours`: fields of its customers and contacts that people change, not the source."""

customer_links = Table(
    "customer_links",
    metadata,
    Column("source", Text, primary_key=True),
    Column("external_id", Text, primary_key=True),
    Column("customer_id", Uuid, nullable=False),
    Column("linked_at", DateTime(timezone=True), nullable=False),
    info={"customer": "customer_id"},
)
"""Where a customer is known besides the source that it was created by, which stands in customers."""

imports = Table(
    "imports",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("file_name", Text, nullable=False),
    Column("mapping", LargeBinary, nullable=False),
    Column("header", ARRAY(Text), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("by_record", Boolean, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("bytes_read", BigInteger, nullable=False),
    Column("lines_read", BigInteger, nullable=False),
    Column("rows_read", BigInteger, nullable=False),
    Column("staged", BigInteger, nullable=False),
    Column("applied_line", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("unchanged", BigInteger, nullable=False),
    Column("superseded", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("failure", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("worked_seconds", Double, nullable=False),
)
"""`mapping`: the contract's Mapping. `by_record`: lines count records (a sheet's rows, a system's records), not lines
of text. `step`: READ, SETTLE or APPLY, while it gets on. `bytes_read`, `lines_read`: where to go on reading. `staged`:
rows that were good when they were read. `applied_line`: up to where the file went in. `version` counts changes of
state."""

import_chunks = Table(
    "import_chunks",
    metadata,
    Column("import_id", Uuid, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)
"""The file of an import, in pieces of 1 MiB, each encrypted."""

import_places = Table(
    "import_places",
    metadata,
    Column("import_id", Uuid, primary_key=True),
    Column("line", BigInteger, primary_key=True),
    Column("start", BigInteger, nullable=False),
)
"""Places from which a file can be read again: what stands after `line` begins at byte `start`."""

rejected_rows = Table(
    "rejected_rows",
    metadata,
    Column("import_id", Uuid, primary_key=True),
    Column("line", BigInteger, primary_key=True),
    Column("place", SmallInteger, primary_key=True),
    Column("step", Text, nullable=False),
    Column("column", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("superseded", Boolean, nullable=False),
    Column("cells", LargeBinary),
)
"""What is wrong with rows, each wrong cell at a `place` of its own; at place 0 the row's `cells` as well, encrypted.
`step`: the one that found it."""
