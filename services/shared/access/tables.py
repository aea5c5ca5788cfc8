"""What every service keeps of identity, and who owns which customer. In the schema "kit" of every database."""

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Integer, MetaData, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import UserDefinedType

metadata = MetaData(schema="kit")


class Ltree(UserDefinedType[str]):
    """A path of labels; here the ids of departments in hexadecimal, from the root of the tree on."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "ltree"


directory = Table(
    "directory",
    metadata,
    Column("revision", BigInteger, nullable=False),
    Column("synced_at", DateTime(timezone=True)),
    Column("customers_synced_at", DateTime(timezone=True)),
)
"""One row. `revision` counts the changes of the tables below it; `synced_at`: when they were taken from identity as a
whole, `customers_synced_at`: when the owners of all customers were."""

employees = Table(
    "employees",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("login", Text, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("department_id", Uuid, nullable=False),
    Column("manager_id", Uuid),
    Column("role_key", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("successor_id", Uuid),
    Column("version", BigInteger, nullable=False),
)

departments = Table(
    "departments",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("path", Ltree, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("version", BigInteger, nullable=False),
)

roles = Table(
    "roles",
    metadata,
    Column("key", Text, primary_key=True),
    Column("permissions", ARRAY(Integer), nullable=False),
    Column("scope", Text, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("version", BigInteger, nullable=False),
)
"""`permissions`: numbers of kejing.common.v1.Permission; `scope`: OWN, DEPARTMENT or ALL."""

deputies = Table(
    "deputies",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("absent_id", Uuid, nullable=False),
    Column("deputy_id", Uuid, nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("valid_to", Date, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("version", BigInteger, nullable=False),
)

revoked_sessions = Table(
    "revoked_sessions",
    metadata,
    Column("session_id", Uuid, primary_key=True),
    Column("tokens_expire_at", DateTime(timezone=True), nullable=False),
)

customers = Table(
    "customers",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("version", BigInteger, nullable=False),
)
"""The customers whose owners are known here, and by which version of their facts. Empty in customers itself."""

customer_access = Table(
    "customer_access",
    metadata,
    Column("customer_id", Uuid, primary_key=True),
    Column("role", Text, primary_key=True),
    Column("employee_id", Uuid, nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("valid_to", Date, nullable=False),
    info={"customer": "customer_id"},
)
"""The owners of customers: the truth in customers, a projection of it elsewhere. Both dates belong to it; where none is
set they are the first and the last one of the calendar."""
