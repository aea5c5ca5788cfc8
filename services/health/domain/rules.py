"""Health rules: danger is looked at first, then excellence; all others are fair.

Missing input is never taken for good or bad: a comparison without data is left out, and where too few have data, the
customer's health is not known.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from services.health.domain.metrics import FIELDS
from services.shared.conditions.check import Alternative, alternatives, check, possible_values
from services.shared.conditions.tree import Comparison, Condition, Values, answer, comparisons
from services.shared.conditions.values import written
from services.shared.errors import InvalidArgument


class Status(StrEnum):
    EXCELLENT = "EXCELLENT"
    FAIR = "FAIR"
    AT_RISK = "AT_RISK"
    NOT_COMPUTED = "NOT_COMPUTED"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


@dataclass(frozen=True)
class Rules:
    """`minimum_data_share`: of the comparisons, above 0 and at most 1, that must have data."""

    at_risk: Condition
    excellent: Condition
    minimum_data_share: Decimal

    @property
    def comparisons(self) -> list[Comparison]:
        """All comparisons: the danger level's, then the excellent level's."""
        return [*comparisons(self.at_risk), *comparisons(self.excellent)]

    @property
    def answers_needed(self) -> int:
        """How many comparisons must have data."""
        return math.ceil(self.minimum_data_share * len(self.comparisons))


@dataclass(frozen=True)
class Reason:
    """A comparison of a level with the value it met; `holds` is None where there was no data."""

    level: Status
    comparison: Comparison
    value: Decimal | None
    holds: bool | None


@dataclass(frozen=True)
class Moved:
    """A metric whose value went from `before` to `after`; None where there was no data."""

    metric: str
    before: Decimal | None
    after: Decimal | None


def status(rules: Rules, inputs: Values) -> Status:
    """The status of a customer with these inputs (values by metric)."""
    known = sum(inputs.get(comparison.field) is not None for comparison in rules.comparisons)
    if known < rules.answers_needed:
        return Status.INSUFFICIENT_DATA
    if answer(rules.at_risk, inputs):
        return Status.AT_RISK
    if answer(rules.excellent, inputs):
        return Status.EXCELLENT
    return Status.FAIR


def reasons(rules: Rules, inputs: Values) -> list[Reason]:
    """What became of every comparison."""
    return [
        Reason(level, comparison, inputs.get(comparison.field), comparison.answer(inputs))
        for level, comparison in _by_level(rules)
    ]


def moved(rules: Rules, before: Values, after: Values) -> Moved | None:
    """The first comparison whose answer changed, the danger level's first, as its metric's move."""
    for _, comparison in _by_level(rules):
        if comparison.answer(before) != comparison.answer(after):
            return Moved(comparison.field, before.get(comparison.field), after.get(comparison.field))
    return None


def _by_level(rules: Rules) -> Iterator[tuple[Status, Comparison]]:
    for level, tree in ((Status.AT_RISK, rules.at_risk), (Status.EXCELLENT, rules.excellent)):
        for comparison in comparisons(tree):
            yield level, comparison


def check_rules(rules: Rules, path: str) -> None:
    """Refuses rules that can't be meant.

    Levels overlap where one metric's value fits both. That both levels can hold by different metrics is no overlap:
    then danger counts.

    Args:
        path: where the rule set stands in the request.

    Raises:
        InvalidArgument: as services.shared.conditions.check, and LEVELS_OVERLAP.
    """
    if not 0 < rules.minimum_data_share <= 1:
        raise InvalidArgument(
            f"{path}.minimum_data_share", str(rules.minimum_data_share), "it must be above 0 and at most 1"
        )
    check(rules.at_risk, FIELDS, f"{path}.at_risk")
    check(rules.excellent, FIELDS, f"{path}.excellent")
    for danger in alternatives(rules.at_risk, f"{path}.at_risk"):
        for excellence in alternatives(rules.excellent, f"{path}.excellent"):
            _check_overlap(danger, excellence, path)


def _check_overlap(danger: Alternative, excellence: Alternative, path: str) -> None:
    shared = {comparison.field for comparison in danger} & {comparison.field for comparison in excellence}
    both = possible_values((*danger, *excellence), FIELDS) if shared else None
    if both is None:
        return
    example = ", ".join(
        f"{metric} = {'nothing' if value is None else written(value)}"
        for metric, value in both.items()
        if metric in shared
    )
    raise InvalidArgument(f"{path}.excellent", f"with {example}",
                          "a customer would be both excellent and at risk; the levels must not overlap",
                          "LEVELS_OVERLAP")  # fmt: skip
