"""The evaluation of one key range: one statement, which takes effect once."""

from datetime import datetime
from functools import reduce
from operator import add
from typing import Any

from sqlalchemy import (
    Date,
    DateTime,
    Integer,
    Row,
    Select,
    String,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert

from services.health.domain.rules import Rules, Status
from services.health.domain.weeks import Week
from services.health.storage.evaluations import alone, side_by_side
from services.health.storage.inputs import inputs, usage_of_range, windows
from services.health.storage.tables import (
    customers,
    evaluation_ranges,
    evaluations,
    health_current,
    health_results,
    health_transitions,
)
from services.shared.conditions.sql import to_sql
from services.shared.db import Write
from services.shared.errors import Conflict


async def evaluate_range(
    write: Write, run: Row[Any], row: Row[Any], rules: Rules, week_ended_at: datetime
) -> list[Row[Any]]:
    """Evaluates the customers of an evaluation_ranges row, unless that was done; answers whose present health, or what
    it was computed from, changed.

    Args:
        run: the evaluations row.
        row: the evaluation_ranges row.
        rules: the rules of the run.
        week_ended_at: the first instant after the run's week.

    Returns:
        (customer_id, status, previous_status, inputs), by id; `status` where the present status is another one now,
        `inputs`, a JSON text, where no later week is known and they are other ones than those of the week before, or of
        an earlier run for the week; else None.

    Raises:
        Conflict: a run about this or a later week was made in the same moment; the next try succeeds.
    """
    latest = await _is_latest(write, run)
    # Ranges of the latest week run side by side. An earlier week, which asks what later ones found, runs alone.
    await (side_by_side(write) if latest else alone(write))
    if latest and not await _is_latest(write, run):
        raise Conflict("EVALUATION_OVERTAKEN", "a run about this or a later week was made meanwhile; try again")
    # A range is less than a bucket of the statistics: with its bounds as literals the planner expects one row and loops
    # over unindexed aggregates, hundreds of times slower.
    await write.execute(text("set local plan_cache_mode = force_generic_plan"))
    values = {
        "run": run.id, "range": row.number, "rule_set": run.rule_set_id, "first": row.first_id, "end": row.end_id,
        "monday": run.week, "planned": run.planned_at, "week_ended": week_ended_at, "now": write.now,
        **windows(Week(run.week)),
    }  # fmt: skip
    return list((await write.execute(statement(rules, latest), values)).all())


async def _is_latest(write: Write, run: Row[Any]) -> bool:
    """Whether no other run is about this or a later week."""
    other = exists().where(evaluations.c.week >= run.week, evaluations.c.id != run.id)
    return not (await write.execute(select(other))).scalar_one()


def statement(rules: Rules, latest: bool) -> Select[Any]:
    """The statement, with the parameters that `evaluate_range` gives (no column's names: an update would set those).

    Where `latest`, no result of this or a later week can be there, so that the present status is the previous one.
    """
    found = _found(rules, latest).cte("found")
    once = _once(found)
    results = _results(found, once)
    transitions = _transitions(found, once)
    current = _current(found, once, latest)
    moved = current.c.customer_id.is_not(None)
    told = and_(found.c.told_inputs.is_distinct_from(found.c.inputs), exists(select(once.c.number)))
    if not latest:
        told = and_(told, _no_later(found))
    return (
        select(
            found.c.customer_id,
            case((moved, found.c.status)).label("status"),
            found.c.previous_status,
            case((told, cast(found.c.inputs, Text))).label("inputs"),
        )
        .outerjoin(current, current.c.customer_id == found.c.customer_id)
        .where(or_(moved, told))
        .order_by(found.c.customer_id)
        .add_cte(results, transitions)
    )


def _found(rules: Rules, latest: bool) -> Any:
    """Every customer of the range with status, inputs, previous and present status."""
    raw = usage_of_range().subquery("raw")
    first, end = bindparam("first", type_=Uuid), bindparam("end", type_=Uuid)
    present = (
        select(health_current)
        .where(health_current.c.customer_id >= first, health_current.c.customer_id < end)
        .subquery("present")
    )
    before = (
        select(health_results.c.status)
        .where(health_results.c.customer_id == customers.c.id, health_results.c.week < bindparam("monday", type_=Date))
        .order_by(health_results.c.week.desc())
        .limit(1)
        .scalar_subquery()
    )
    monday = bindparam("monday", type_=Date)
    told = (
        select(health_results.c.inputs)
        .where(health_results.c.customer_id == customers.c.id)
        .where(health_results.c.week.between(monday - literal_column("7"), monday))
        .order_by(health_results.c.week.desc())
        .limit(1)
        .scalar_subquery()
    )
    inputs_of = inputs(raw)
    known = (
        select(
            customers.c.id.label("customer_id"),
            func.coalesce(present.c.status if latest else before, Status.NOT_COMPUTED.value).label("previous_status"),
            present.c.status.label("present_status"),
            raw.c.data_until,
            told.label("told_inputs"),
            *(value.label(metric) for metric, value in inputs_of.items()),
        )
        .outerjoin(raw, raw.c.customer_id == customers.c.id)
        .outerjoin(present, present.c.customer_id == customers.c.id)
        .where(
            customers.c.id >= first,
            customers.c.id < end,
            customers.c.created_at <= bindparam("planned", type_=DateTime(timezone=True)),
            # who came after the week has a place in it only with figures that reach back into it
            or_(
                customers.c.created_at < bindparam("week_ended", type_=DateTime(timezone=True)),
                raw.c.customer_id.is_not(None),
            ),
        )
        .offset(literal_column("0"))  # else Postgres computes each input anew for every comparison that asks for it
        .subquery("known")
    )
    values = {metric: known.c[metric] for metric in inputs_of}
    stored = [part for metric, value in values.items()
              for part in (literal(metric, Text), cast(func.trim_scale(value), Text))]  # fmt: skip
    return select(
        known.c.customer_id,
        _status(rules, values).label("status"),
        known.c.previous_status,
        known.c.present_status,
        func.jsonb_build_object(*stored, type_=JSONB).label("inputs"),
        known.c.data_until,
        known.c.told_inputs,
    )


def _status(rules: Rules, values: dict[str, Any]) -> Any:
    """The SQL form of domain.rules.status."""
    known = [cast(values[comparison.field].is_not(None), Integer) for comparison in rules.comparisons]
    return case(
        (reduce(add, known) < rules.answers_needed, literal(Status.INSUFFICIENT_DATA.value, String)),
        (to_sql(rules.at_risk, values), literal(Status.AT_RISK.value, String)),
        (to_sql(rules.excellent, values), literal(Status.EXCELLENT.value, String)),
        else_=literal(Status.FAIR.value, String),
    )


def _once(found: Any) -> Any:
    """Marks the range as done; gives a row only the first time, on which every write of the statement depends."""
    counted = select(func.count()).select_from(found)
    return (
        update(evaluation_ranges)
        .where(
            evaluation_ranges.c.run_id == bindparam("run", type_=Uuid),
            evaluation_ranges.c.number == bindparam("range", type_=Integer),
            evaluation_ranges.c.done_at.is_(None),
        )
        .values(
            done_at=_now(),
            customers=counted.scalar_subquery(),
            transitions=counted.where(found.c.status != found.c.previous_status).scalar_subquery(),
        )
        .returning(evaluation_ranges.c.number)
        .cte("once")
    )


def _results(found: Any, once: Any) -> Any:
    """The history: a row per customer and week, replaced where another run for the week finds otherwise."""
    names = ["customer_id", "week", "status", "previous_status", "rule_set_id", "inputs", "data_until", "computed_at"]
    rows = select(
        found.c.customer_id, bindparam("monday", type_=Date), found.c.status, found.c.previous_status,
        bindparam("rule_set", type_=Uuid), found.c.inputs, found.c.data_until, _now(),
    ).where(exists(select(once.c.number)))  # fmt: skip
    insertion = upsert(health_results).from_select(names, rows)
    told = names[2:-1]
    return insertion.on_conflict_do_update(
        index_elements=["customer_id", "week"],
        set_={name: insertion.excluded[name] for name in (*told, "computed_at")},
        where=or_(*(health_results.c[name].is_distinct_from(insertion.excluded[name]) for name in told)),
    ).cte("results")


def _transitions(found: Any, once: Any) -> Any:
    rows = select(
        bindparam("run", type_=Uuid), found.c.customer_id, bindparam("monday", type_=Date),
        found.c.previous_status, found.c.status,
    ).where(found.c.status != found.c.previous_status, exists(select(once.c.number)))  # fmt: skip
    names = ["run_id", "customer_id", "week", "from_status", "to_status"]
    return upsert(health_transitions).from_select(names, rows).on_conflict_do_nothing().cte("transitions")


def _current(found: Any, once: Any, latest: bool) -> Any:
    """The present status, written where it changes and no later week is known."""
    changed = and_(found.c.present_status.is_distinct_from(found.c.status), exists(select(once.c.number)))
    rows = select(found.c.customer_id, found.c.status).where(changed)
    if not latest:
        rows = rows.where(_no_later(found))
    insertion = upsert(health_current).from_select(["customer_id", "status"], rows)
    return (
        insertion.on_conflict_do_update(index_elements=["customer_id"], set_={"status": insertion.excluded.status})
        .returning(health_current.c.customer_id)
        .cte("current")
    )


def _no_later(found: Any) -> Any:
    """Whether no later week of the customer is known."""
    later = (
        select(health_results.c.week)
        .where(health_results.c.customer_id == found.c.customer_id)
        .where(health_results.c.week > bindparam("monday", type_=Date))
        .limit(1)
    )
    return later.scalar_subquery().is_(None)


def _now() -> Any:
    return bindparam("now", type_=DateTime(timezone=True))
