# ruff: noqa: S608 - texts of SQL are put together from names of fields in this project only; values are parameters
"""National ids of staged rows: sealed before they are staged, and brought into their table with their customers.

A staged row holds their masks among its attributes, and in `sealed` by attribute {"token": hex, "digests": [hex, …]},
or null where the cell was empty.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from sqlalchemy import BigInteger, Table, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from services.customers.domain.attributes import Attribute
from services.customers.storage.national_ids import seal
from services.shared.db import Write
from services.shared.keyring import Keyring


class Source(Protocol):
    """Where rows come from: see applying.Source."""

    @property
    def ours(self) -> Sequence[str]: ...
    @property
    def ours_elsewhere(self) -> Mapping[str, Sequence[str]]: ...
    @property
    def custom(self) -> Sequence[Attribute]: ...


def sealed(keyring: Keyring, key: str, value: str | None) -> tuple[str | None, object]:
    """The mask of a national id, and what the column `sealed` holds of it; None twice where there is none."""
    if value is None:
        return None, None
    found = seal(keyring, key, value)
    digests = [digest.hex() for digest in keyring.digests(value.encode("ascii"))]
    return found.mask, {"token": found.token.hex(), "digests": digests}


def brought(source: Source) -> bool:
    """Whether rows bring national ids."""
    return any(attribute.encrypted for attribute in source.custom)


def kept(source: Source) -> str:
    """The attributes, as an array, of which the row `s` says nothing to the known customer `c`: those that are ours,
    and personal ones that were erased on request.
    """
    keys = {attribute.key for attribute in source.custom}
    parts = [_array(sorted(keys.intersection(source.ours)))]
    parts += [
        f"case when c.source = any({_array(others)}) then {_array([key])} else '{{}}' end"
        for key, others in source.ours_elsewhere.items()
        if key in keys
    ]
    if personal := sorted(attribute.key for attribute in source.custom if attribute.personal):
        parts.append(f"case when c.erased_at is not null then {_array(personal)} else '{{}}' end")
    return f"({' || '.join(parts)})"


def differ(source: Source) -> str:
    """Whether a national id of the row `s` is another than the customer `c` has."""
    return f"exists (select from {_differing(source)})"


def changes(source: Source) -> str:
    """National ids that changed, as further entries of the timeline's changes: their masks may be alike."""
    if not brought(source):
        return ""
    masks = "jsonb_build_array(coalesce(old.attributes ->> e.key, ''), coalesce(new.attributes ->> e.key, ''))"
    return f""" || coalesce((select jsonb_object_agg(e.key, {masks}) from {_differing(source)}), '{{}}')"""


async def put(write: Write, table: Table, source: Source, created: Sequence[UUID], changed: Mapping[UUID, int]) -> None:
    """Keeps the national ids that these staged rows bring: of new customers, and of changed ones by their lines."""
    new = f"""
        select c.id as customer_id, e.key, e.value
        from {table.fullname} s join customers c on c.external_id = s.external_id, jsonb_each(s.sealed) e
        where c.id = any(:ids)"""
    known = f"""
        select c.id as customer_id, e.key, e.value
        from unnest(:ids, :lines) as g (id, line) join {table.fullname} s on s.line = g.line
        join customers c on c.id = g.id, jsonb_each(s.sealed) e
        where e.key <> all({kept(source)})"""
    for rows, ids, lines in ((new, created, None), (known, list(changed), list(changed.values()))):
        if not ids:
            continue
        statement = text(f"""
            with brought as ({rows}), gone as (
                delete from national_ids n using brought b
                where n.customer_id = b.customer_id and n.key = b.key and b.value = 'null'
            )
            insert into national_ids (customer_id, key, token, digest)
            select customer_id, key, decode(value ->> 'token', 'hex'), decode(value -> 'digests' ->> 0, 'hex')
            from brought where value <> 'null'
            on conflict (customer_id, key) do update set token = excluded.token, digest = excluded.digest
        """).bindparams(bindparam("ids", type_=ARRAY(Uuid)))
        parameters: dict[str, object] = {"ids": ids}
        if lines is not None:
            statement = statement.bindparams(bindparam("lines", type_=ARRAY(BigInteger)))
            parameters["lines"] = lines
        await write.execute(statement, parameters)


def _differing(source: Source) -> str:
    return f"""jsonb_each(s.sealed) e left join national_ids n on n.customer_id = c.id and n.key = e.key
        where e.key <> all({kept(source)}) and case when e.value = 'null' then n.key is not null
            else n.digest is null or not (e.value -> 'digests') ? encode(n.digest, 'hex') end"""


def _array(names: Sequence[str]) -> str:
    """Names of attributes and sources, which hold no quotes, as an array of texts."""
    return f"'{{{','.join(names)}}}'::text[]"
