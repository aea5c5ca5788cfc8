"""Page tokens carry any sort values and belong to one query."""

import base64
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kejing.tasks.v1.tasks_service_pb2 import ListTasksRequest
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.errors import InvalidArgument

VALUES = st.one_of(
    st.none(),
    st.text(),
    st.integers(),
    st.uuids(),
    st.dates(),
    st.datetimes(timezones=st.just(UTC)),
)


@given(st.lists(VALUES, max_size=4))
def test_a_token_gives_back_the_values_it_was_made_of(values: list[Any]) -> None:
    request = ListTasksRequest(theme_key="delivery")
    request.page_token = next_page_token(request, values)
    assert page_start(request) == values


def test_the_first_page_has_no_start() -> None:
    assert page_start(ListTasksRequest()) is None


def test_a_token_holds_while_only_the_page_size_changes() -> None:
    token = next_page_token(ListTasksRequest(theme_key="delivery", page_size=10), ["x"])
    assert page_start(ListTasksRequest(theme_key="delivery", page_size=20, page_token=token)) == ["x"]


def test_a_token_of_another_query_is_refused() -> None:
    token = next_page_token(ListTasksRequest(theme_key="delivery"), ["x"])
    with pytest.raises(InvalidArgument) as refusal:
        page_start(ListTasksRequest(theme_key="renewal", page_token=token))
    assert refusal.value.violations[0].field == "page_token"


@pytest.mark.parametrize("token", ["nonsense", "AAAA", "e30", "W10", "WzEsMl0", "🙂", "WyJ4IixbInUiLDVdXQ"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgument):
        page_start(ListTasksRequest(page_token=token))


@pytest.mark.parametrize(("old", "new"), [('["s","x"]', '["s","y"]'), ('["s","x"]', '["i",5]'), (',["s","x"]', "")])
def test_a_token_whose_values_were_changed_is_refused(old: str, new: str) -> None:
    good = next_page_token(ListTasksRequest(), ["x"])
    inside = base64.urlsafe_b64decode(good + "=" * (-len(good) % 4)).decode()
    assert old in inside
    changed = base64.urlsafe_b64encode(inside.replace(old, new).encode()).decode()
    with pytest.raises(InvalidArgument):
        page_start(ListTasksRequest(page_token=changed))


def test_a_page_holds_fifty_where_nothing_was_asked() -> None:
    assert (page_size(0), page_size(7)) == (50, 7)


def test_values_keep_their_types() -> None:
    values = [UUID(int=7), date(2026, 2, 28), datetime(2026, 2, 28, 23, 59, tzinfo=UTC), 5, "五", None]
    request = ListTasksRequest()
    request.page_token = next_page_token(request, values)
    assert [type(value) for value in page_start(request) or []] == [type(value) for value in values]
