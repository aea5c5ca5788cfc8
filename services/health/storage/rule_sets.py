"""Rule sets, by version; the one published last is in force."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.health.domain.rules import Rules
from services.health.storage.tables import rule_sets
from services.shared.conditions.tree import from_data, to_data
from services.shared.db import Write
from services.shared.errors import NotFound


def rules_of(row: Row[Any]) -> Rules:
    """The rules of a rule_sets row."""
    return Rules(from_data(row.at_risk), from_data(row.excellent), row.minimum_data_share)


async def get(connection: AsyncConnection, rule_set_id: UUID) -> Row[Any]:
    """Raises NotFound where there is no such rule set."""
    row = (await connection.execute(select(rule_sets).where(rule_sets.c.id == rule_set_id))).one_or_none()
    if row is None:
        raise NotFound("rule set", rule_set_id)
    return row


async def in_force(connection: AsyncConnection) -> Row[Any]:
    """The rule set published last; the built-in one is there from the start."""
    published = select(rule_sets).where(rule_sets.c.published_at.is_not(None))
    latest = published.order_by(rule_sets.c.published_at.desc(), rule_sets.c.version.desc()).limit(1)
    return (await connection.execute(latest)).one()


async def page(read: AsyncConnection, after: list[Any] | None, size: int) -> Sequence[Row[Any]]:
    """Up to `size` rule sets, newest version first, after the version `after[0]`."""
    query = select(rule_sets).order_by(rule_sets.c.version.desc()).limit(size)
    if after:
        query = query.where(rule_sets.c.version < after[0])
    return (await read.execute(query)).all()


async def add(write: Write, rule_set_id: UUID, name: str, rules: Rules) -> None:
    """Stores rules under the next version, not in force."""
    await write.execute(text("select pg_advisory_xact_lock(hashtext('kejing rule set versions'))"))
    next_version = select(func.max(rule_sets.c.version) + 1).scalar_subquery()
    row = {"id": rule_set_id, "version": next_version, "name": name, "at_risk": to_data(rules.at_risk),
           "excellent": to_data(rules.excellent), "minimum_data_share": rules.minimum_data_share,
           "created_at": write.now, "created_by": write.actor}  # fmt: skip
    await write.execute(insert(rule_sets).values(row))


async def publish(write: Write, rule_set_id: UUID) -> None:
    mine = update(rule_sets).where(rule_sets.c.id == rule_set_id)
    await write.execute(mine.values(published_at=write.now))
