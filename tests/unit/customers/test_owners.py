"""Owners stand in the timeline as texts that can be read again."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from services.customers.domain.owners import Ownership, read_ownership

days = st.dates() | st.sampled_from([date.min, date.max])


@given(st.builds(Ownership, st.uuids(), days, days))
def test_what_was_written_is_read_again(owner: Ownership) -> None:
    assert read_ownership(owner.text()) == owner


def test_nobody_is_empty() -> None:
    assert read_ownership("") is None
