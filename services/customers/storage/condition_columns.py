"""The fields that conditions ask for as columns of a customer (see domain/condition_fields.py)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Date,
    Numeric,
    Text,
    case,
    cast,
    func,
    literal,
    literal_column,
    null,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from services.customers.domain.condition_fields import (
    ATTRIBUTE,
    METRIC,
    RECURRING,
    Known,
    asked_currencies,
    catalogue,
)
from services.customers.storage import attributes
from services.customers.storage.fact_tables import customer_metrics, customer_recurring
from services.customers.storage.labels import GROUP, TAG, of_kind
from services.customers.storage.tables import customers, labels
from services.shared.access import unscoped
from services.shared.clock import business_date
from services.shared.conditions.tree import Comparison, Condition, comparisons
from services.shared.conditions.values import FieldType

SAMPLE = 10_000
"""So many rows show which metrics and currencies there are."""
KINDS: Mapping[FieldType, Any] = {
    FieldType.NUMBER: Numeric(),
    FieldType.DATE: Date(),
    FieldType.TEXT: Text(),
    FieldType.BOOLEAN: Boolean(),
    FieldType.OPTION: Text(),
    FieldType.SET: ARRAY(Text()),
}
WHICH = "it tells which metrics and currencies there are, and nothing of a customer"


@dataclass(frozen=True)
class Day:
    """The business date `today` in the business time zone `zone`."""

    today: date
    zone: str

    @classmethod
    def of(cls, now: datetime, zone: ZoneInfo) -> "Day":
        return cls(business_date(now, zone), zone.key)


async def fields_for(connection: AsyncConnection, keys: Iterable[str] = ()) -> dict[str, Known]:
    """The catalogue; revenue in a currency that `keys` name is in it, whether there is any or not."""
    found: list[list[str]] = []
    for table, column in ((customer_metrics, "metric"), (customer_recurring, "currency")):
        some = select(table.c[column].label("word")).limit(SAMPLE).subquery()
        query = unscoped(select(some.c.word).distinct(), WHICH)
        found.append(list((await connection.execute(query)).scalars()))
    metrics, currencies = found
    return catalogue(await attributes.definitions(connection), metrics, {*currencies, *asked_currencies(keys)})


def asked_of(conditions: Iterable[Condition]) -> list[Comparison]:
    """One comparison of each field and type that conditions ask for."""
    return list({(each.field, each.type): each for one in conditions for each in comparisons(one)}.values())


def column_of(key: str, type_: FieldType, day: Day) -> ColumnElement[Any]:
    """Of a row of customers: a field, of the type by which it is asked for. What there is no more, or is of another
    type by now, is not known.
    """
    if key.startswith(ATTRIBUTE):
        return _attribute(key.removeprefix(ATTRIBUTE), type_)
    if key.startswith(METRIC):
        mine = customer_metrics.c.customer_id == customers.c.id
        value = select(customer_metrics.c.value).where(mine, customer_metrics.c.metric == key.removeprefix(METRIC))
        return value.scalar_subquery()
    if key.startswith(RECURRING):
        return _recurring(key.removeprefix(RECURRING), day.today.replace(day=1))
    touched_on = cast(func.timezone(day.zone, customers.c.last_touch_at), Date)
    found: dict[str, ColumnElement[Any]] = {
        "seats": cast(customers.c.seats, Numeric),
        # the rule of domain/churn.py
        "churned": func.coalesce(customers.c.last_contract_end < day.today, literal_column("false"), type_=Boolean),
        "created_on": cast(func.timezone(day.zone, customers.c.created_at), Date),
        "tags": _labels(TAG),
        "groups": _labels(GROUP),
        "health": func.coalesce(customers.c.health_status, "NOT_COMPUTED"),
        "last_touch_on": touched_on,
        "days_since_touch": cast(func.greatest(literal(day.today, Date) - touched_on, 0), Numeric),
    }
    if key in found:
        return found[key]
    return customers.c[key] if key in customers.c else cast(null(), KINDS[type_])


def _labels(kind: str) -> ColumnElement[Any]:
    word: Any = func.substr(labels.c.label, literal_column("3"))
    if kind == GROUP:
        word = cast(cast(word, customers.c.id.type), Text)
    mine = select(word).where(labels.c.customer_id == customers.c.id, of_kind(kind))
    return func.array(mine.scalar_subquery(), type_=ARRAY(Text))


def _attribute(key: str, type_: FieldType) -> ColumnElement[Any]:
    """Values that were taken in while the attribute was of another type are not known."""
    word = customers.c.attributes[key].astext
    names = {FieldType.NUMBER: "numeric", FieldType.DATE: "date", FieldType.BOOLEAN: "boolean"}
    if type_ not in names:
        return word
    fits = func.pg_input_is_valid(word, literal_column(f"'{names[type_]}'"))
    return case((fits, cast(word, KINDS[type_])))


def _recurring(currency: str, month: date) -> ColumnElement[Any]:
    """0 where revenue told nothing of this month; not known where revenue told nothing of the customer at all."""
    table = customer_recurring
    value = select(func.sum(table.c.mrr)).where(
        table.c.customer_id == customers.c.id,
        table.c.currency == currency,
        table.c.from_month <= month,
        table.c.to_month >= month,
    )
    told = customers.c.recurring_version > 0
    return case((told, func.coalesce(value.scalar_subquery(), 0)), else_=cast(null(), Numeric))
