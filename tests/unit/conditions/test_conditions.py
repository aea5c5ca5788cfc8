"""The condition language: answers, what is refused when saving, and the way to storage and wire."""

from collections.abc import Mapping
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.conditions import wire
from services.shared.conditions.check import Field, alternatives, check, possible_values
from services.shared.conditions.tree import (
    APPLY,
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    Not,
    answer,
    from_data,
    to_data,
)
from services.shared.conditions.values import Operator
from services.shared.errors import InvalidArgument

FIELDS = {
    "count": Field("count", Decimal(0), whole=True),
    "ratio": Field("ratio", Decimal(0), Decimal(1)),
    "change": Field("change"),
}
NUMBERS = [Decimal(text) for text in ("-1", "0", "0.4", "0.5", "0.6", "1", "2", "3")]

comparisons = st.builds(
    Comparison, st.sampled_from(sorted(FIELDS)), st.sampled_from(list(APPLY)), st.sampled_from(NUMBERS)
)
conditions = st.recursive(
    comparisons,
    lambda parts: st.one_of(
        st.builds(AllOf, st.lists(parts, min_size=1, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(parts, min_size=1, max_size=3).map(tuple)),
        st.builds(Not, parts),
    ),
    max_leaves=6,
)
values = st.fixed_dictionaries({field: st.none() | st.sampled_from(NUMBERS) for field in FIELDS})


def less(field: str, value: str) -> Comparison:
    return Comparison(field, Operator.LESS, Decimal(value))


def more(field: str, value: str) -> Comparison:
    return Comparison(field, Operator.GREATER, Decimal(value))


def refusal(condition: Condition) -> InvalidArgument:
    with pytest.raises(InvalidArgument) as caught:
        check(condition, FIELDS, "when")
    return caught.value


def test_what_has_no_answer_is_left_out() -> None:
    known = {"count": Decimal(3), "ratio": None}
    assert answer(AllOf((more("count", "1"), more("ratio", "0.5"))), known) is True
    assert answer(AnyOf((more("count", "5"), more("ratio", "0.5"))), known) is False
    assert answer(Not(more("ratio", "0.5")), known) is None
    assert answer(AllOf((more("ratio", "0.5"),)), known) is None


@given(conditions)
def test_storage_and_wire_give_the_same_condition_back(condition: Condition) -> None:
    assert from_data(to_data(condition)) == condition
    assert wire.from_proto(wire.to_proto(condition), FIELDS, "when") == condition


@given(conditions, values)
def test_not_is_the_opposite_and_swaps_all_and_any(condition: Condition, known: Mapping[str, Decimal | None]) -> None:
    direct = answer(condition, known)
    assert answer(Not(condition), known) == (None if direct is None else not direct)
    both = (condition, less("count", "2"))
    swapped = AnyOf(tuple(Not(part) for part in both))
    assert answer(Not(AllOf(both)), known) == answer(swapped, known)


@given(st.lists(comparisons, min_size=1, max_size=4))
def test_possible_values_are_found_exactly_where_there_are_some(way: list[Comparison]) -> None:
    found = possible_values(way, FIELDS)
    fine = [Decimal(step) / 20 for step in range(-60, 121)]
    asked = sorted({comparison.field for comparison in way})
    if found is None:
        for field in asked:
            of_field = [comparison for comparison in way if comparison.field == field]
            if possible_values(of_field, FIELDS) is None:
                assert not any(
                    FIELDS[field].holds(value) and all(c.answer({field: value}) for c in of_field) for value in fine
                )
                return
        raise AssertionError("refused as a whole, but each field has a value")
    assert all(FIELDS[field].holds(value) for field, value in found.items())
    assert all(comparison.answer(found) for comparison in way)


@pytest.mark.parametrize(
    ("condition", "field", "says"),
    [
        (less("count", "0"), "when.comparison", "it can never hold: count is a whole number from 0 up"),
        (more("ratio", "1.2"), "when.comparison", "it can never hold: ratio is a number from 0 to 1"),
        (Comparison("count", Operator.EQUAL, Decimal("2.5")), "when.comparison", "whole number"),
        (AllOf((more("count", "1"), less("count", "0"))), "when.all.conditions[1].comparison", "never hold"),
        (AllOf((more("count", "2"), less("count", "3"))), "when", "for any values of count"),
        (AnyOf((Not(Comparison("ratio", Operator.LESS_OR_EQUAL, Decimal(1))),)), "when", "for any values of ratio"),
    ],
)
def test_what_can_never_hold_is_refused(condition: Condition, field: str, says: str) -> None:
    refused = refusal(condition)
    assert refused.reason == "CONDITION_IMPOSSIBLE"
    assert refused.violations[0].field == field
    assert says in refused.message


def test_an_unknown_field_is_refused_by_name() -> None:
    refused = refusal(AnyOf((less("count", "1"), less("mood", "1"))))
    assert (refused.reason, refused.violations[0].field) == (
        "CONDITION_FIELD_UNKNOWN",
        "when.any.conditions[1].comparison.field",
    )
    assert "mood" in refused.message
    assert "change, count, ratio" in refused.message


def test_too_large_conditions_are_refused() -> None:
    deep: Condition = less("count", "5")
    for _ in range(9):
        deep = Not(deep)
    wide = AllOf(tuple(AnyOf((less("count", str(n + 5)), more("count", str(n)))) for n in range(10)))
    long = AnyOf(tuple(less("count", str(n + 1)) for n in range(51)))
    assert [refusal(condition).reason for condition in (deep, wide, long)] == ["CONDITION_TOO_LARGE"] * 3


@given(conditions, values)
def test_the_ways_in_which_a_condition_holds_are_all_of_them(
    condition: Condition, known: Mapping[str, Decimal | None]
) -> None:
    witnesses = [possible_values(way, FIELDS) for way in alternatives(condition, "when")]
    for witness in witnesses:
        assert witness is None or answer(condition, witness) is True
    possible = all(value is not None and FIELDS[field].holds(value) for field, value in known.items())
    if possible and answer(condition, known):
        assert any(witness is not None for witness in witnesses)
