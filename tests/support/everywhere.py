"""Looking for a text in everything that services keep: no table is left out."""

from collections.abc import Sequence

from sqlalchemy import text

from tests.support.services import RunningServices

_COLUMNS = text("""
    select table_schema, table_name, column_name, udt_name from information_schema.columns
    join information_schema.tables using (table_schema, table_name)
    where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')
        and udt_name in ('text', 'varchar', 'bpchar', 'json', 'jsonb', 'bytea', '_text')
""")


async def everywhere(services: RunningServices, names: Sequence[str], sought: str) -> list[str]:
    """The columns ("service: schema.table.column") of these services' databases in which the text stands, bytes too."""
    found = []
    for name in names:
        async with services.db(name).read(unscoped="a test looks everywhere") as read:
            for schema, table, column, kind in (await read.execute(_COLUMNS)).all():
                held = (
                    f"position(convert_to(:sought, 'UTF8') in {_quoted(column)}) > 0"
                    if kind == "bytea"
                    else f"position(:sought in {_quoted(column)}::text) > 0"
                )
                query = f"select 1 from {_quoted(schema)}.{_quoted(table)} where {held} limit 1"
                if (await read.execute(text(query), {"sought": sought})).first():
                    found.append(f"{name}: {schema}.{table}.{column}")
    return found


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
