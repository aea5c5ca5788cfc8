"""Deadlines, reminders and notices: rules without a database."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.errors import FailedPrecondition, InvalidArgument
from services.tasks.domain.deadline import Deadline, moved_deadline, new_deadline
from services.tasks.domain.notices import Reminders, check_notice

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
DAYS = st.dates(date(2020, 1, 1), date(2035, 12, 31))
ZONES = st.sampled_from([SHANGHAI, ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("UTC")])
INSTANTS = st.timedeltas(timedelta(days=-2000), timedelta(days=3000)).map(lambda shift: NOW + shift)
LEADS = st.lists(st.timedeltas(timedelta(0), timedelta(days=40)), max_size=5)


def test_without_a_time_the_deadline_is_the_end_of_the_business_day() -> None:
    assert Deadline(date(2026, 11, 22)).instant(SHANGHAI) == datetime(2026, 11, 22, 16, 0, tzinfo=UTC)
    assert Deadline(date(2026, 11, 22), time(9, 30)).instant(SHANGHAI) == datetime(2026, 11, 22, 1, 30, tzinfo=UTC)


@given(DAYS, ZONES)
def test_a_later_day_is_a_later_deadline_and_every_time_of_a_day_comes_before_its_end(
    day: date, zone: ZoneInfo
) -> None:
    end = Deadline(day).instant(zone)
    assert end < Deadline(day + timedelta(days=1)).instant(zone)
    assert Deadline(day, time(23, 59, 59)).instant(zone) < end
    assert Deadline(day, time(0)).instant(zone) >= Deadline(day - timedelta(days=1)).instant(zone)


@pytest.mark.parametrize(
    ("deadline", "reason"),
    [
        (Deadline(date(2026, 11, 21)), "DEADLINE_PASSED"),
        (Deadline(date.min, time(0)), "DEADLINE_PASSED"),
        (Deadline(date(2026, 11, 22), time(12, 0)), "DEADLINE_PASSED"),
        (Deadline(date(2036, 11, 24)), "INVALID_FIELD"),
        (Deadline(date.max), "INVALID_FIELD"),
    ],
)
def test_a_new_deadline_lies_ahead_and_within_ten_years(deadline: Deadline, reason: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        new_deadline(deadline, SHANGHAI, NOW)
    assert refusal.value.reason == reason


@given(st.dates(date(2020, 1, 1), date(2036, 1, 1)), st.dates(date(2026, 11, 22), date(2030, 1, 1)))
def test_a_deadline_only_ever_moves_later(wanted: date, present: date) -> None:
    before = Deadline(present).instant(SHANGHAI)
    if wanted > present:
        after = moved_deadline(Deadline(wanted), before, SHANGHAI, NOW)
        assert after > before
        assert after > NOW
    else:
        with pytest.raises(InvalidArgument):
            moved_deadline(Deadline(wanted), before, SHANGHAI, NOW)


@given(INSTANTS, st.timedeltas(timedelta(0), timedelta(days=90)), LEADS)
def test_reminders_lie_between_the_setting_and_the_deadline_in_order(
    armed_at: datetime, ahead: timedelta, leads: list[timedelta]
) -> None:
    deadline_at = armed_at + ahead
    reminders = Reminders(leads).before(deadline_at, armed_at)
    assert reminders == sorted(set(reminders))
    assert all(armed_at < reminder < deadline_at for reminder in reminders)
    assert {deadline_at - lead for lead in leads if timedelta(0) < lead < ahead} == set(reminders)


@given(INSTANTS, st.timedeltas(timedelta(hours=1), timedelta(days=90)), LEADS)
def test_notices_come_one_after_the_other_and_end_with_the_deadline(
    armed_at: datetime, ahead: timedelta, leads: list[timedelta]
) -> None:
    reminders, deadline_at = Reminders(leads), armed_at + ahead
    given_so_far: list[datetime] = []
    while (at := reminders.next_notice(deadline_at, armed_at, given_so_far)) is not None:
        given_so_far.append(at)
    assert given_so_far == [*reminders.before(deadline_at, armed_at), deadline_at]


def test_nobody_is_reminded_of_a_deadline_that_was_told_to_have_passed() -> None:
    reminders, deadline_at = Reminders([timedelta(hours=2)]), NOW + timedelta(days=1)
    assert reminders.next_notice(deadline_at, NOW, [deadline_at]) is None


def test_a_ring_is_taken_when_it_is_due_or_two_seconds_before() -> None:
    check_notice(overdue=True, due_at=NOW, deadline_at=NOW, now=NOW - timedelta(seconds=2))
    with pytest.raises(FailedPrecondition):
        check_notice(overdue=True, due_at=NOW, deadline_at=NOW, now=NOW - timedelta(seconds=2.1))
