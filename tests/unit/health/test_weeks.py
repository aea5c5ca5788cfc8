"""Weeks of the evaluation."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from services.health.domain.weeks import Week, unfinished
from services.shared.errors import InvalidArgument

SHANGHAI = ZoneInfo("Asia/Shanghai")


def test_a_week_ends_when_sunday_is_over_in_the_business_zone() -> None:
    week = Week.parse("2026-W47", "week")
    assert (week.monday, week.sunday, str(week)) == (date(2026, 11, 16), date(2026, 11, 22), "2026-W47")
    assert week.ended_at(SHANGHAI) == datetime(2026, 11, 22, 16, tzinfo=UTC)
    assert Week.last_ended(datetime(2026, 11, 22, 15, 59, tzinfo=UTC), SHANGHAI) == week.previous
    assert Week.last_ended(datetime(2026, 11, 22, 16, tzinfo=UTC), SHANGHAI) == week
    assert week.first_day(14) == date(2026, 11, 9)
    assert week.next.previous == week


def test_the_iso_year_is_that_of_the_thursday() -> None:
    assert str(Week.of(date(2027, 1, 2))) == "2026-W53"
    assert Week.parse("2026-W53", "week").sunday == date(2027, 1, 3)


@pytest.mark.parametrize("text", ["2026-W54", "2027-W53", "2026-47", "2026-W00", "0000-W01", "2026-W471", "x"])
def test_what_is_no_week_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="ISO week"):
        Week.parse(text, "week")


def test_unfinished_weeks_come_oldest_first_and_not_from_before_the_beginning() -> None:
    now = datetime(2026, 11, 23, 1, tzinfo=UTC)
    first = date(2026, 11, 5)
    assert [str(week) for week in unfinished(first, set(), now, SHANGHAI, 12)] == ["2026-W45", "2026-W46", "2026-W47"]
    done = {Week.parse("2026-W46", "week")}
    assert [str(week) for week in unfinished(first, done, now, SHANGHAI, 12)] == ["2026-W45", "2026-W47"]
    assert [str(week) for week in unfinished(first, set(), now, SHANGHAI, 2)] == ["2026-W46", "2026-W47"]
    assert unfinished(None, set(), now, SHANGHAI, 12) == []
    assert unfinished(date(2026, 11, 23), set(), now, SHANGHAI, 12) == []
