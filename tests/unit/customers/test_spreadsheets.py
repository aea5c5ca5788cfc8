"""No text becomes a formula."""

from hypothesis import given
from hypothesis import strategies as st

from services.customers.domain.spreadsheets import FORMULA_BEGINS, guarded


@given(st.text() | st.builds(str.__add__, st.sampled_from(FORMULA_BEGINS), st.text()))
def test_a_guarded_text_begins_no_formula_and_keeps_all_that_it_says(text: str) -> None:
    written = guarded(text)
    assert not written.startswith(FORMULA_BEGINS)
    assert written in (text, f"'{text}")
