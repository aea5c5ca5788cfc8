"""Tables of the revenue service, as the migrations make them."""

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, MetaData, Numeric, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()


def _order_columns() -> list[Column[object]]:
    return [
        Column("id", Uuid, primary_key=True),
        Column("number", Text),
        Column("customer_id", Uuid),
        Column("product", Text),
        Column("currency", Text),
        Column("amount", Numeric),
        Column("monthly_price", Numeric),
        Column("signed_date", Date),
        Column("term_start", Date),
        Column("term_end", Date),
        Column("counts_to_mrr", Boolean),
        Column("renews_order_id", Uuid),
        Column("status", Text),
        Column("void_reason", Text),
        Column("version", BigInteger),
        Column("created_at", DateTime(timezone=True)),
        Column("updated_at", DateTime(timezone=True)),
    ]


orders = Table("orders", metadata, *_order_columns(), info={"customer": "customer_id"})

order_terms = Table(
    "order_terms", metadata, *_order_columns(), Column("last_day", Date), info={"customer": "customer_id"}
)
"""A view: orders, with the last day on which each counts."""

contract_ends = Table(
    "contract_ends",
    metadata,
    Column("customer_id", Uuid, primary_key=True),
    Column("last_contract_end", Date),
    Column("version", BigInteger),
    info={"customer": "customer_id"},
)

recurring = Table(
    "recurring",
    metadata,
    Column("customer_id", Uuid, primary_key=True),
    Column("ranges", JSONB),
    Column("version", BigInteger),
    info={"customer": "customer_id"},
)
"""As told last. `ranges`: lists of currency, first month, last month (null: open), both as their first day, and MRR."""

customers = Table(
    "customers",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("external_id", Text),
    Column("number", Text),
    Column("version", BigInteger),
    info={"customer": "id"},
)
"""A projection of the customers service: by what other systems name a customer."""
