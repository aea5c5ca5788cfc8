"""Processes: rows with their definition beside them, and their history."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Uuid, any_, delete, exists, func, insert, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.shared.access import Scope, unscoped
from services.shared.access.pages import page_of
from services.shared.db import Write
from services.tasks.domain.definition import Stage
from services.tasks.domain.process import ProcessState, StageProgress, Standing
from services.tasks.storage.tables import customers, kept_reasons, process_definitions, process_transitions, processes

KEEP_REASONS = timedelta(days=7)
"""A reason whose action was refused or given up is forgotten after that time."""

FOUND = "its process was found in scope"

OPEN_STATES = {ProcessState.RUNNING.value, ProcessState.PAUSED.value}

_WITH_DEFINITION = (
    select(
        processes,
        process_definitions.c.version.label("definition_version"),
        process_definitions.c.name.label("definition_name"),
        process_definitions.c.theme_key,
        process_definitions.c.stages,
        process_definitions.c.allows_skipping,
        customers.c.label.label("customer_label"),
    )
    .join(process_definitions, process_definitions.c.id == processes.c.definition_id)
    .outerjoin(customers, customers.c.id == processes.c.customer_id)
)


async def get(connection: AsyncConnection, scope: Scope, process_id: UUID) -> Row[Any] | None:
    query = scope.limit(_WITH_DEFINITION.where(processes.c.id == process_id), processes.c.customer_id)
    return (await connection.execute(query)).one_or_none()


async def lock(write: Write, scope: Scope, process_id: UUID) -> Row[Any] | None:
    """The process, which nobody else moves until this transaction ends."""
    query = _WITH_DEFINITION.where(processes.c.id == process_id).with_for_update(of=processes)
    return (await write.execute(scope.limit(query, processes.c.customer_id))).one_or_none()


def standing_of(row: Row[Any]) -> Standing:
    """Where the process of a row stands, for the rules."""
    return Standing(
        ProcessState(row.state),
        row.stage_key,
        tuple(StageProgress(each) for each in row.progress),
        row.stage_entered_at,
        row.stage_due_at,
        row.paused_at,
        row.ended_at,
    )


def stages_of(row: Row[Any]) -> tuple[Stage, ...]:
    """The stages of a process's or definition's row."""
    return tuple(Stage.from_stored(stored) for stored in row.stages)


async def page(
    connection: AsyncConnection,
    scope: Scope,
    only: Mapping[str, object],
    states: Sequence[str],
    after: list[Any] | None,
    size: int,
) -> Sequence[Row[Any]]:
    """Up to `size` processes, latest started first, after `after`; `only`: column → value that it must have."""
    order = (processes.c.started_at, processes.c.id)
    query = _WITH_DEFINITION.where(*(processes.c[column] == value for column, value in only.items()))
    if states and set(states) <= OPEN_STATES:
        query = query.where(processes.c.ended_at.is_(None))  # in the words of the index of open processes
    if states and set(states) != OPEN_STATES:
        query = query.where(processes.c.state.in_(states))
    if after:
        query = query.where(tuple_(*order) < tuple_(*after))
    if only.keys() & {"customer_id", "owner_id"}:
        query = query.order_by(*(column.desc() for column in order)).limit(size)
        return (await connection.execute(scope.limit(query, processes.c.customer_id))).all()
    return await page_of(connection, scope, query, processes.c.customer_id, order, size, descending=True)


async def count_open_of(connection: AsyncConnection, scope: Scope, owner_id: UUID) -> int:
    theirs = processes.c.ended_at.is_(None) & (processes.c.owner_id == owner_id)
    query = select(func.count()).select_from(processes).where(theirs)
    return int((await connection.execute(scope.whole(query, processes.c.customer_id))).scalar_one())


async def add(write: Write, row: dict[str, Any], standing: Standing) -> bool:
    """Opens a process's row; False where it is there already."""
    statement = upsert(processes).values({**row, **_columns(standing)}).on_conflict_do_nothing()
    return bool((await write.execute(unscoped(statement, "the customer was found in scope"))).rowcount)


async def move(write: Write, process_id: UUID, revision: int, standing: Standing) -> None:
    """Stores where a locked process stands now."""
    values = {"revision": revision, **_columns(standing)}
    changed = update(processes).where(processes.c.id == process_id).values(values)
    await write.execute(unscoped(changed, FOUND))


async def hand_over(write: Write, from_id: UUID, to_id: UUID, most: int) -> Sequence[Row[Any]]:
    """Gives up to `most` processes of one owner that have not ended to another; answers them with their definitions.

    Who answers for a process is no transition: revision and history stay, and the workflow, which moves the row by its
    revision alone, learns the owner with its next transition.
    """
    theirs = select(processes.c.id).where(processes.c.owner_id == from_id, processes.c.ended_at.is_(None))
    ids = func.array(theirs.order_by(processes.c.id).limit(most).with_for_update().scalar_subquery(), type_=ARRAY(Uuid))
    moved = update(processes).where(processes.c.id == any_(ids)).values(owner_id=to_id).returning(processes.c.id)
    found = (await write.execute(unscoped(moved, "all that the employee leaves"))).scalars().all()
    query = _WITH_DEFINITION.where(processes.c.id == any_(literal(found, ARRAY(Uuid)))).order_by(processes.c.id)
    return (await write.execute(unscoped(query, "all that the employee leaves"))).all()


async def add_transition(write: Write, row: dict[str, Any]) -> None:
    """Writes the next line into a process's history; `row` without actor and time."""
    new = insert(process_transitions).values({**row, "actor": write.actor, "occurred_at": write.now})
    await write.execute(unscoped(new, FOUND))


async def was_recorded(connection: AsyncConnection, process_id: UUID, action_id: str) -> bool:
    of_action = (process_transitions.c.process_id == process_id) & (process_transitions.c.action_id == action_id)
    query = select(exists().where(of_action))
    return bool((await connection.execute(unscoped(query, FOUND))).scalar_one())


async def history(connection: AsyncConnection, process_id: UUID) -> Sequence[Row[Any]]:
    """The transitions of a process that was found in scope, first to last."""
    of_process = process_transitions.c.process_id == process_id
    query = select(process_transitions).where(of_process).order_by(process_transitions.c.revision)
    return (await connection.execute(unscoped(query, FOUND))).all()


async def keep_reason(write: Write, action_id: str, reason: str) -> None:
    """Keeps the first reason given for the action, and forgets those that nobody came for."""
    await write.execute(delete(kept_reasons).where(kept_reasons.c.kept_at < write.now - KEEP_REASONS))
    row = {"action_id": action_id, "reason": reason, "kept_at": write.now}
    await write.execute(upsert(kept_reasons).values(row).on_conflict_do_nothing())


async def take_reason(write: Write, action_id: str) -> str:
    """The reason kept for the action, which is kept no longer; "" for none."""
    taken = delete(kept_reasons).where(kept_reasons.c.action_id == action_id).returning(kept_reasons.c.reason)
    return (await write.execute(taken)).scalar() or ""


def _columns(standing: Standing) -> dict[str, Any]:
    return {
        "state": standing.state.value,
        "stage_key": standing.stage_key,
        "progress": [each.value for each in standing.progress],
        "stage_entered_at": standing.stage_entered_at,
        "stage_due_at": standing.stage_due_at,
        "paused_at": standing.paused_at,
        "ended_at": standing.ended_at,
    }
