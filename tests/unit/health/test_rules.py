"""Health rules: order of the levels, missing data, reasons, and what is refused."""

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest

from services.health.domain.alerts import FALLS, Transition
from services.health.domain.rules import Moved, Rules, Status, check_rules, moved, reasons, status
from services.shared.conditions.tree import AllOf, AnyOf, Comparison
from services.shared.conditions.values import Operator
from services.shared.errors import InvalidArgument

RATIO, DAYS, TICKETS, URGENT = "active_ratio_14d", "active_days_14d", "tickets_14d", "urgent_open_tickets_7d"


def least(metric: str, value: str) -> Comparison:
    return Comparison(metric, Operator.GREATER_OR_EQUAL, Decimal(value))


def most(metric: str, value: str) -> Comparison:
    return Comparison(metric, Operator.LESS_OR_EQUAL, Decimal(value))


SAMPLE = Rules(
    at_risk=AnyOf((most(RATIO, "0.5"), most(DAYS, "7"), least(TICKETS, "5"), least(URGENT, "2"))),
    excellent=AllOf((least(RATIO, "0.8"), least(DAYS, "9"), most(TICKETS, "2"), most(URGENT, "0"))),
    minimum_data_share=Decimal("0.5"),
)
GOOD = {RATIO: Decimal("0.8"), DAYS: Decimal(9), TICKETS: Decimal(2), URGENT: Decimal(0)}


def refusal(rules: Rules) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as caught:
        check_rules(rules, "rule_set")
    return caught.value


def test_danger_comes_first_then_excellence_then_fair() -> None:
    assert status(SAMPLE, GOOD) is Status.EXCELLENT
    assert status(SAMPLE, {**GOOD, DAYS: Decimal(8)}) is Status.FAIR
    assert status(SAMPLE, {**GOOD, URGENT: Decimal(2)}) is Status.AT_RISK


def test_missing_input_is_skipped_until_too_little_is_left() -> None:
    assert status(SAMPLE, {**GOOD, RATIO: None}) is Status.EXCELLENT
    assert status(SAMPLE, {**GOOD, RATIO: None, DAYS: None}) is Status.EXCELLENT
    assert status(SAMPLE, {URGENT: Decimal(9)}) is Status.INSUFFICIENT_DATA
    assert status(SAMPLE, {}) is Status.INSUFFICIENT_DATA
    assert status(replace(SAMPLE, minimum_data_share=Decimal("0.2")), {URGENT: Decimal(9)}) is Status.AT_RISK


def test_reasons_name_every_comparison_with_its_value() -> None:
    found = reasons(SAMPLE, {**GOOD, RATIO: None, TICKETS: Decimal(6)})
    assert [(r.level, r.comparison.field, r.value, r.holds) for r in found[:4]] == [
        (Status.AT_RISK, RATIO, None, None),
        (Status.AT_RISK, DAYS, Decimal(9), False),
        (Status.AT_RISK, TICKETS, Decimal(6), True),
        (Status.AT_RISK, URGENT, Decimal(0), False),
    ]
    assert len(found) == 8


def test_the_input_that_moved_is_the_first_whose_answer_changed() -> None:
    after = {**GOOD, DAYS: Decimal(8), TICKETS: Decimal(7)}
    assert moved(SAMPLE, GOOD, after) == Moved(TICKETS, Decimal(2), Decimal(7))
    assert moved(SAMPLE, GOOD, {**GOOD, DAYS: Decimal(8)}) == Moved(DAYS, Decimal(9), Decimal(8))
    assert moved(SAMPLE, GOOD, GOOD) is None


def test_the_sample_table_passes_only_in_its_corrected_form() -> None:
    check_rules(SAMPLE, "rule_set")
    below_zero = Comparison(URGENT, Operator.LESS, Decimal(0))
    assert isinstance(SAMPLE.excellent, AllOf)
    refused = refusal(replace(SAMPLE, excellent=AllOf((*SAMPLE.excellent.parts[:3], below_zero))))
    assert refused.reason == "CONDITION_IMPOSSIBLE"
    assert refused.violations[0].field == "rule_set.excellent.all.conditions[3].comparison"
    assert refused.message == (
        "rule_set.excellent.all.conditions[3].comparison is 'urgent_open_tickets_7d < 0'; "
        "it can never hold: urgent_open_tickets_7d is a whole number from 0 up"
    )


def test_levels_must_not_overlap_in_one_metric() -> None:
    refused = refusal(replace(SAMPLE, excellent=least(RATIO, "0.4")))
    assert refused.reason == "LEVELS_OVERLAP"
    assert "active_ratio_14d = 0.4" in refused.message
    # by different metrics both can hold: then danger counts
    check_rules(replace(SAMPLE, at_risk=least(TICKETS, "5"), excellent=least(RATIO, "0.8")), "rule_set")


@pytest.mark.parametrize("share", ["0", "-0.1", "1.01"])
def test_the_data_share_must_be_a_share(share: str) -> None:
    refused = refusal(replace(SAMPLE, minimum_data_share=Decimal(share)))
    assert refused.violations[0].field == "rule_set.minimum_data_share"


def test_a_fall_is_a_step_down_and_nothing_else() -> None:
    ladder = [Status.EXCELLENT, Status.FAIR, Status.AT_RISK]
    any_fall = Transition(any_fall=True, before=None, after=None)
    matching = {(before, after) for before in Status for after in Status if any_fall.matches(before, after)}
    assert matching == set(FALLS) == {*pairwise(ladder), (ladder[0], ladder[2])}


def test_a_transition_with_wildcards_matches_changes_only() -> None:
    to_danger = Transition(any_fall=False, before=None, after=Status.AT_RISK)
    assert to_danger.matches(Status.NOT_COMPUTED, Status.AT_RISK)
    assert not to_danger.matches(Status.AT_RISK, Status.AT_RISK)
    assert not to_danger.matches(Status.EXCELLENT, Status.FAIR)


@pytest.mark.parametrize(
    ("transition", "field"),
    [
        (Transition(False, None, None), "t"),
        (Transition(True, Status.FAIR, None), "t.any_fall"),
        (Transition(False, Status.FAIR, Status.FAIR), "t.to"),
        (Transition(False, None, Status.NOT_COMPUTED), "t.to"),
    ],
)
def test_changes_that_cannot_be_are_refused(transition: Transition, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        transition.check("t")
    assert caught.value.violations[0].field == field
