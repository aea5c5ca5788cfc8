# ruff: noqa: S608 - texts of SQL are put together from words of this project only; values are always parameters
"""Tags: who carries which, what people said of them, and which go together."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, Uuid, any_, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.customers.storage import labels as label
from services.customers.storage.labelled import SAMPLE, carriers, first_label, parameters, statement
from services.customers.storage.list_statements import LAST_CHARACTER
from services.customers.storage.tables import labels, tags
from services.shared.access import Scope, unscoped
from services.shared.db import Write

MOST_TAGS = 50
MOST_RELATED = 20
_tag = func.substr(labels.c.label, 3)


async def overfull(write: Write, ids: Sequence[UUID]) -> UUID | None:
    """One of these locked customers that carries more than MOST_TAGS."""
    theirs = labels.c.customer_id == any_(bindparam(None, list(ids), ARRAY(Uuid)))
    query = select(labels.c.customer_id).where(theirs, label.of_kind(label.TAG)).group_by(labels.c.customer_id)
    query = query.having(func.count() > MOST_TAGS).order_by(labels.c.customer_id).limit(1)
    return (await write.execute(unscoped(query, label.GIVEN))).scalar_one_or_none()


async def of_customer(connection: AsyncConnection, scope: Scope, customer_id: UUID) -> Sequence[Row[Any]]:
    """The tags of a customer with what was said of them, the weightiest first."""
    weight = func.coalesce(tags.c.weight, 0)
    query: Select[Any] = (
        select(
            _tag.label("tag"), func.coalesce(tags.c.category, "").label("category"), weight.label("weight"),
            labels.c.given_by, labels.c.given_at,
        )
        .outerjoin(tags, tags.c.tag == _tag)
        .where(labels.c.customer_id == customer_id, label.of_kind(label.TAG))
        .order_by(weight.desc(), _tag)
    )  # fmt: skip
    return (await connection.execute(scope.limit(query, labels.c.customer_id))).all()


async def page(
    connection: AsyncConnection, scope: Scope, category: str, prefix: str, after: str, size: int
) -> Sequence[Row[Any]]:
    """Up to `size` tags that were described, or that a customer in scope carries, in the order of the alphabet.

    With a `category` only described ones. From label to label it goes by one look into an index each, and one each for
    every employee of the scope.
    """
    carried = f"""
        carried (label, n) as (
            select {first_label(scope, "l.label >= :first and l.label > :after")}, 1
            union all
            select {first_label(scope, "l.label > c.label")}, n + 1
            from carried c where c.label is not null and n < :size
        ),"""
    sql = f"""
        with recursive {"" if category else carried} found as (
            {"" if category else "select substr(label, 3) as tag from carried where label is not null union"}
            (select tag from tags where tag >= :prefix and tag < :prefix_end and tag > :after_tag
                and (:category = '' or category = :category) order by tag limit :size)
        )
        select f.tag, coalesce(t.category, '') as category, coalesce(t.weight, 0) as weight,
               coalesce(t.meaning, '') as meaning
        from found f left join tags t on t.tag = f.tag order by f.tag limit :size
    """
    values: Mapping[str, Any] = {
        **parameters(scope), "prefix": prefix, "prefix_end": prefix + LAST_CHARACTER, "after_tag": after,
        "first": label.tag(prefix), "after": label.tag(after), "end": label.tag(prefix + LAST_CHARACTER),
        "category": category, "size": size,
    }  # fmt: skip
    return (await connection.execute(statement(sql, values))).all()


async def related(connection: AsyncConnection, scope: Scope, tag: str) -> Sequence[Row[Any]]:
    """Tags that go with `tag`, and how many of its newest customers in scope carry both; the most frequent first."""
    sql = f"""
        with newest as materialized ({carriers(scope, newest=True)})
        select substr(l.label, 3) as tag, count(*) as customers
        from newest n join labels l on l.customer_id = n.customer_id and l.label >= 't:' and l.label < 't;'
        where l.label <> :label group by l.label order by count(*) desc, l.label limit {MOST_RELATED}
    """
    values = {**parameters(scope), "label": label.tag(tag), "most": SAMPLE}
    return (await connection.execute(statement(sql, values))).all()


async def describe(write: Write, tag: str, category: str, weight: int, meaning: str) -> None:
    """Says what a tag means; where nothing is said, what was said before is forgotten."""
    if not (category or weight or meaning):
        await write.execute(delete(tags).where(tags.c.tag == tag))
        return
    said = {"category": category, "weight": weight, "meaning": meaning, "updated_at": write.now}
    new = upsert(tags).values(tag=tag, **said)
    await write.execute(new.on_conflict_do_update(index_elements=["tag"], set_=said))


async def described(connection: AsyncConnection, tag: str) -> Row[Any] | None:
    return (await connection.execute(select(tags).where(tags.c.tag == tag))).one_or_none()
