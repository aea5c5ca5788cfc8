"""What customers and their contacts are found by, written after them."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, Row, Text, Uuid, any_, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from services.customers.domain.search import findable, fold
from services.customers.storage import contacts
from services.customers.storage.customers import WHOLE, among
from services.customers.storage.fact_tables import customer_search
from services.customers.storage.tables import contacts as known_contacts
from services.customers.storage.tables import customers
from services.shared.access import unscoped
from services.shared.db import Write

AT_ONCE = 20
"""So many names are read, some milliseconds, before calls get their turn."""
NUMBER_DAY = len("CUS20261122")
FOLLOWS = "what a customer is found by follows it, whoever changed it"

_KINDS = {"id": Uuid, "customer_id": Uuid, "is_contact": Boolean, "name": Text, "short_name": Text, "codes": Text,
          "pinyin": Text, "initials": Text, "tokens": Text}  # fmt: skip
# Tokens come as the text of an array: Postgres knows no array of arrays of different lengths.
_PUT = unscoped(
    text(f"""
        with wanted as materialized (
            select id, customer_id, is_contact, name, short_name, codes, pinyin, initials, tokens::integer[] as tokens
            from unnest({", ".join(f":{name}" for name in _KINDS)}) w ({", ".join(_KINDS)})
        ), gone as (
            delete from customer_search s
            where s.customer_id = any(:customer_ids) and not exists (select from wanted w where w.id = s.id)
            returning s.id
        ), put as (
            insert into customer_search as s ({", ".join(_KINDS)})
            select {", ".join(_KINDS)} from wanted
            on conflict (id) do update
            set customer_id = excluded.customer_id, name = excluded.name, short_name = excluded.short_name,
                codes = excluded.codes, pinyin = excluded.pinyin, initials = excluded.initials, tokens = excluded.tokens
            where (s.customer_id, s.name, s.short_name, s.codes)
                is distinct from (excluded.customer_id, excluded.name, excluded.short_name, excluded.codes)
            returning s.id
        )
        select (select count(*) from gone) + (select count(*) from put)
    """).bindparams(  # noqa: S608 - names of columns alone
        *(bindparam(name, type_=ARRAY(kind)) for name, kind in _KINDS.items()),
        bindparam("customer_ids", type_=ARRAY(Uuid)),
    ),
    FOLLOWS,
)


async def refresh(write: Write, customer_ids: Sequence[UUID]) -> int:
    """Writes what customers and their contacts are found by where it is no longer that; answers how many rows.

    One after the other in all processes, so that nobody writes what he read before another one's change.
    """
    await write.execute(text("select pg_advisory_xact_lock(hashtext('kejing search'))"))
    known = (await write.execute(unscoped(WHOLE.where(among(customer_ids)), FOLLOWS))).all()
    theirs = known_contacts.c.customer_id == any_(bindparam(None, list(customer_ids), ARRAY(Uuid)))
    people = (await write.execute(unscoped(contacts.SHOWN.where(theirs, contacts.IS_SHOWN), FOLLOWS))).all()
    rows: list[dict[str, Any]] = []
    for count, (make, row) in enumerate([*((_customer, row) for row in known), *((_contact, row) for row in people)]):
        rows.append(make(row))
        if not (count + 1) % AT_ONCE:
            await asyncio.sleep(0)
    columns = {name: [row[name] for row in rows] for name in _KINDS}
    return int((await write.execute(_PUT, {**columns, "customer_ids": list(customer_ids)})).scalar_one())


def _customer(row: Row[Any]) -> dict[str, Any]:
    name, short_name = findable(row.name), findable(row.short_name or "")
    external_ids = dict.fromkeys([row.external_id, *(link.partition(" ")[2] for link in sorted(row.links))])
    # Of the number only what follows the day: the day is found from its beginning on.
    tokens = name.tokens | short_name.tokens | findable(row.number[NUMBER_DAY:]).tokens
    for external_id in external_ids:
        tokens |= findable(external_id).tokens
    return {
        "id": row.id,
        "customer_id": row.id,
        "is_contact": False,
        "name": name.text,
        "short_name": short_name.text,
        "codes": fold(" ".join([row.number, *external_ids])),
        "pinyin": f"{name.pinyin} {short_name.pinyin}".strip(),
        "initials": f"{name.initials} {short_name.initials}".strip(),
        "tokens": _array(tokens),
    }


def _contact(row: Row[Any]) -> dict[str, Any]:
    name = findable(row.name)
    return {
        "id": row.id,
        "customer_id": row.customer_id,
        "is_contact": True,
        "name": name.text,
        "short_name": "",
        "codes": "",
        "pinyin": name.pinyin,
        "initials": name.initials,
        "tokens": _array(name.tokens),
    }


def _array(tokens: frozenset[int]) -> str:
    return f"{{{','.join(map(str, sorted(tokens)))}}}"


async def missing(read: AsyncConnection, after: UUID, size: int) -> Sequence[UUID]:
    """Up to `size` customers that can't be found, in the order of their ids, after `after`."""
    found = select(customer_search.c.id).where(customer_search.c.id == customers.c.id).exists()
    query = select(customers.c.id).where(customers.c.id > after, ~found).order_by(customers.c.id).limit(size)
    return (await read.execute(unscoped(query, FOLLOWS))).scalars().all()
