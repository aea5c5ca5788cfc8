"""identity's tables."""

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Integer, LargeBinary, MetaData, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY

metadata = MetaData()

departments = Table(
    "departments",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("parent_id", Uuid),
    Column("leader_id", Uuid),
    Column("version", BigInteger, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)
"""A deleted department stays as a row: others may still have to be told of it."""

employees = Table(
    "employees",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("login", Text, nullable=False, unique=True),
    Column("display_name", Text, nullable=False),
    Column("department_id", Uuid, nullable=False),
    Column("role", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("manager_id", Uuid),
    Column("version", BigInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("successor_id", Uuid),
)
"""`role` is the key of the role."""

roles = Table(
    "roles",
    metadata,
    Column("key", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("permissions", ARRAY(Integer), nullable=False),
    Column("scope", Text, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)
"""`permissions`: numbers of kejing.common.v1.Permission, ascending; `scope`: OWN, DEPARTMENT or ALL. A deleted
role stays as a row, so that one of the same key goes on from its version."""

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
    Column("created_at", DateTime(timezone=True), nullable=False),
)
"""Both dates belong to it; `deleted` once it was ended."""

sessions = Table(
    "sessions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("employee_id", Uuid, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
    Column("expires_at", DateTime(timezone=True), nullable=False),
)
"""`expires_at`: when its newest refresh token does."""

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("session_id", Uuid, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("used_at", DateTime(timezone=True)),
)

used_assertions = Table(
    "used_assertions",
    metadata,
    Column("jti", Text, primary_key=True),
    Column("expires_at", DateTime(timezone=True), nullable=False),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("public", LargeBinary, nullable=False),
    Column("sealed_private", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("retired_at", DateTime(timezone=True)),
)
"""`retired_at`: since when another one signs."""

passwords = Table(
    "passwords",
    metadata,
    Column("employee_id", Uuid, primary_key=True),
    Column("hash", Text, nullable=False),
    Column("must_change", Boolean, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
)

failed_sign_ins = Table(
    "failed_sign_ins",
    metadata,
    Column("login_hash", LargeBinary, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("delayed_until", DateTime(timezone=True), nullable=False),
)

oidc_sign_ins = Table(
    "oidc_sign_ins",
    metadata,
    Column("state_hash", LargeBinary, primary_key=True),
    Column("nonce", Text, nullable=False),
    Column("code_verifier", Text, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
)
"""Sign-ins that the OpenID provider has not answered yet."""
