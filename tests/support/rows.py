"""What stands in the tables of a stack's service, to compare it with what stood there before."""

from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from deploy.local import postgres, topology
from tests.support.stack import LocalStack

TABLES = """
    select n.nspname as schema, c.relname as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema')
    order by 1, 2
"""


def connection(stack: LocalStack, service: str) -> psycopg.Connection[dict[str, Any]]:
    """A connection to the service's database, as its own role."""
    secrets = stack.home.secrets(topology.DATABASES, topology.EVENT_PUBLISHERS)
    port = int(stack.address("postgres").rpartition(":")[2])
    url = postgres.database_url(service, secrets.databases[service], port).replace("+psycopg", "", 1)
    return psycopg.connect(url, row_factory=dict_row, autocommit=True)


def rows_of(stack: LocalStack, service: str, wanted: Callable[[str], bool]) -> dict[str, list[str]]:
    """Every row, as text and sorted, of the tables ("schema.name") that are wanted."""
    with connection(stack, service) as database:
        tables = [(each["schema"], each["name"]) for each in database.execute(TABLES).fetchall()]
        return {
            f"{schema}.{name}": sorted(each["line"] for each in database.execute(_all(schema, name)).fetchall())
            for schema, name in tables
            if wanted(f"{schema}.{name}")
        }


def _all(schema: str, name: str) -> sql.Composed:
    return sql.SQL("select t::text as line from {}.{} t").format(sql.Identifier(schema), sql.Identifier(name))
