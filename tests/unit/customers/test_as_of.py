"""Undoing what happened leads back to how it was."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from services.customers.domain.as_of import State, Undoable, differences, undone

VALUES = st.dictionaries(st.sampled_from(["name", "region", "owner.CSM"]), st.sampled_from(["", "a", "b"]), min_size=1)
STEPS = st.lists(st.one_of(VALUES, st.sampled_from(["vip", "pilot"])), max_size=12)


@given(STEPS)
def test_every_earlier_state_comes_back(steps: list[Mapping[str, str] | str]) -> None:
    """Each step sets fields, or puts a tag on or takes it off."""
    states = [State({}, frozenset())]
    done: list[Undoable] = []
    for step in steps:
        now = states[-1]
        if isinstance(step, str):
            done.append(Undoable(tag=step, put_on=step not in now.tags))
            states.append(State(now.fields, now.tags ^ {step}))
        else:
            done.append(Undoable({name: (now.fields.get(name, ""), value) for name, value in step.items()}))
            fields = {**now.fields, **step}
            states.append(State({name: value for name, value in fields.items() if value}, now.tags))
    for kept in range(len(steps) + 1):
        assert undone(states[-1], reversed(done[kept:])) == states[kept]


@given(VALUES, VALUES)
def test_what_differs_leads_from_one_to_the_other(first: dict[str, str], second: dict[str, str]) -> None:
    changed = {**first, **{name: after for name, _, after in differences(first, second)}}
    assert {name: value for name, value in changed.items() if value} == {n: v for n, v in second.items() if v}
    assert all(before != after for _, before, after in differences(first, second))
