"""How each metric of the catalogue is computed from the days of usage, as SQL."""

from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Date, Numeric, Select, Uuid, and_, bindparam, case, cast, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from services.health.domain.metrics import LONGEST_WINDOW_DAYS, METRICS
from services.health.domain.weeks import Week
from services.health.storage.tables import customers, usage

RATIO_DIGITS = 6


def windows(week: Week) -> dict[str, date]:
    """Values for the parameters by which the expressions of this module name days."""
    days = {f"first_day_{metric.window_days}": week.first_day(metric.window_days) for metric in METRICS.values()}
    return {**days, "last_day": week.sunday}


def usage_of_range() -> Select[Any]:
    """Per customer with any figure in the longest window: the raw values of all metrics and `data_until`.

    Parameters: first, end, and those of `windows`. The range stands here and not only on the customers, so that
    the planner reads one stretch of the index.
    """
    return (
        select(
            usage.c.customer_id,
            _latest(usage.c.active_users_14d, 14).label("active_users_14d"),
            case(
                (func.count(usage.c.active_users) > 0, func.count().filter(usage.c.active_users > 0)),
            ).label("active_days_14d"),
            func.sum(usage.c.tickets_opened).label("tickets_14d"),
            _latest(usage.c.urgent_tickets_open, 7).label("urgent_open_tickets_7d"),
            func.max(usage.c.day).label("data_until"),
        )
        .where(
            usage.c.customer_id >= bindparam("first", type_=Uuid),
            usage.c.customer_id < bindparam("end", type_=Uuid),
            usage.c.day >= _day(f"first_day_{LONGEST_WINDOW_DAYS}"),
            usage.c.day <= _day("last_day"),
        )
        .group_by(usage.c.customer_id)
    )


def inputs(raw: Any) -> dict[str, ColumnElement[Any]]:
    """Every metric's value for a customer joined with his row `raw` of `usage_of_range`; NULL where not known."""
    active = cast(raw.c.active_users_14d, Numeric)
    values = {
        "active_ratio_14d": func.least(func.round(active / func.nullif(customers.c.seats, 0), RATIO_DIGITS), 1),
        "active_days_14d": raw.c.active_days_14d,
        "tickets_14d": raw.c.tickets_14d,
        "urgent_open_tickets_7d": raw.c.urgent_open_tickets_7d,
    }
    # least() passes over NULLs: without this a customer without figures would have the ratio 1
    values["active_ratio_14d"] = case((and_(active.is_not(None), customers.c.seats > 0), values["active_ratio_14d"]))
    return {key: cast(value, Numeric) for key, value in values.items()}


def _latest(figure: ColumnElement[Any], window_days: int) -> ColumnElement[Any]:
    """The figure's value on the last day of the window that has it."""
    inside = and_(figure.is_not(None), usage.c.day >= _day(f"first_day_{window_days}"))
    # the last of all rather than the first of the reverse: that is the order of the index, and nothing is sorted
    values = func.array_agg(aggregate_order_by(figure, usage.c.day)).filter(inside)
    return values[func.cardinality(values)]


def _day(name: str) -> ColumnElement[Any]:
    return bindparam(name, type_=Date)
