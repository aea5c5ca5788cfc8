"""What conditions may ask of a customer: the standard fields, and what the other fields' keys look like.

How a field is read stands in storage/condition_columns.py.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from services.customers.domain.attributes import Attribute
from services.shared.conditions.check import Field
from services.shared.conditions.tree import Condition, comparisons, speaks_of_today
from services.shared.conditions.values import FieldType

ATTRIBUTE, METRIC, RECURRING = "attribute.", "metric.", "mrr."
HEALTH = ("EXCELLENT", "FAIR", "AT_RISK", "INSUFFICIENT_DATA", "NOT_COMPUTED")
CURRENCY = re.compile(r"mrr\.[A-Z]{3}", re.ASCII)
TYPES = {"NUMBER": FieldType.NUMBER, "DATE": FieldType.DATE, "BOOLEAN": FieldType.BOOLEAN, "OPTION": FieldType.OPTION}
"""Of custom attributes; all others are texts. National ids can't be asked for."""


@dataclass(frozen=True)
class Known:
    """A field with what people read of it. `moves`: its value changes because days pass."""

    field: Field
    label: str
    moves: bool = False


def _known(key: str, label: str, type_: FieldType, options: tuple[str, ...] = (), *, moves: bool = False) -> Known:
    return Known(Field(key, type=type_, options=options), label, moves)


STANDARD = (
    _known("name", "Name", FieldType.TEXT),
    _known("short_name", "Short name", FieldType.TEXT),
    _known("number", "Customer number", FieldType.TEXT),
    _known("external_id", "External id", FieldType.TEXT),
    _known("source", "Source", FieldType.TEXT),
    _known("kind", "Kind", FieldType.OPTION, ("ENTERPRISE", "INDIVIDUAL")),
    _known("industry", "Industry", FieldType.TEXT),
    _known("region", "Region", FieldType.TEXT),
    _known("size", "Size", FieldType.TEXT),
    _known("value_tier", "Value tier", FieldType.TEXT),
    Known(Field("seats", Decimal(0), whole=True), "Seats opened"),
    _known("first_sign_date", "First sign date", FieldType.DATE),
    _known("last_contract_end", "Last contract end", FieldType.DATE),
    _known("churned", "Churned", FieldType.BOOLEAN, moves=True),
    _known("created_on", "Known since", FieldType.DATE),
    _known("tags", "Tags", FieldType.SET),
    _known("groups", "Groups, by their ids", FieldType.SET),
    _known("health", "Health", FieldType.OPTION, HEALTH),
    _known("last_touch_on", "Last follow-up on", FieldType.DATE),
    Known(Field("days_since_touch", Decimal(0), whole=True), "Days since the last follow-up", moves=True),
)


def catalogue(attributes: Iterable[Attribute], metrics: Iterable[str], currencies: Iterable[str]) -> dict[str, Known]:
    """All fields by their keys, the standard ones first."""
    found = {known.field.key: known for known in STANDARD}
    found |= {known.field.key: known for known in map(recurring, sorted(currencies))}
    for metric in sorted(metrics):
        key = METRIC + metric
        found[key] = Known(Field(key), f"Metric {metric}")
    for attribute in attributes:
        if attribute.type != "NATIONAL_ID":
            key = ATTRIBUTE + attribute.key
            type_ = TYPES.get(attribute.type, FieldType.TEXT)
            found[key] = Known(Field(key, type=type_, options=tuple(attribute.options)), attribute.label)
    return found


def recurring(currency: str) -> Known:
    """Monthly recurring revenue in a currency: of this month, so that it moves with the months."""
    key = RECURRING + currency
    return Known(Field(key), f"MRR in {currency}", moves=True)


def asked_currencies(keys: Iterable[str]) -> Iterator[str]:
    """The currencies of the fields that name one: revenue in any of them may be asked for, known or not."""
    return (key.removeprefix(RECURRING) for key in keys if CURRENCY.fullmatch(key))


def moves(condition: Condition) -> bool:
    """Whether its answer for a customer may become another one because days pass."""
    still = {known.field.key for known in STANDARD if known.moves}
    fields = {comparison.field for comparison in comparisons(condition)}
    return speaks_of_today(condition) or bool(fields & still) or any(map(CURRENCY.fullmatch, fields))
