"""When a task's clock rings next."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from workflows.task_lifecycle.deadline import next_notice, still_rung
from workflows.task_lifecycle.types import Notice, NoticeKind, TaskClock
from workflows.times import in_zone

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def clock(deadline: timedelta, *reminders: timedelta) -> TaskClock:
    """Deadline and reminders from NOW."""
    return TaskClock("t", "c", "ACME", "renewal", "e", NOW + deadline, sorted(NOW + r for r in reminders), 1, True)


def test_the_earliest_comes_first_and_none_comes_twice() -> None:
    task = clock(10 * HOUR, 2 * HOUR, 8 * HOUR)
    rung: list[Notice] = []
    while (notice := next_notice(task, rung, NOW)) is not None:
        rung.append(notice)
    assert [(notice.kind, notice.due_at - NOW) for notice in rung] == [
        (NoticeKind.REMINDER, 2 * HOUR),
        (NoticeKind.REMINDER, 8 * HOUR),
        (NoticeKind.OVERDUE, 10 * HOUR),
    ]


def test_once_the_deadline_has_passed_nobody_is_reminded() -> None:
    task = clock(-HOUR, -3 * HOUR, -2 * HOUR)
    notice = next_notice(task, [], NOW)
    assert notice == Notice(NoticeKind.OVERDUE, task.deadline_at, task.deadline_at)
    assert next_notice(task, [notice], NOW) is None


def test_what_was_rung_for_another_deadline_counts_no_more() -> None:
    before, after = clock(HOUR), clock(3 * HOUR)
    rung = [Notice(NoticeKind.OVERDUE, before.deadline_at, before.deadline_at)]
    assert still_rung(rung, before) == rung
    assert still_rung(rung, after) == []


@given(st.integers(-100, 100), st.lists(st.integers(-100, 100), max_size=5))
def test_every_clock_comes_to_rest(deadline: int, reminders: list[int]) -> None:
    task = clock(deadline * HOUR, *(hours * HOUR for hours in reminders))
    rung: list[Notice] = []
    while (notice := next_notice(task, rung, NOW)) is not None:
        assert notice not in rung
        assert notice.due_at <= task.deadline_at
        rung.append(notice)
    assert rung[-1].kind is NoticeKind.OVERDUE


def test_instants_are_shown_in_the_business_zone() -> None:
    assert in_zone(datetime(2026, 11, 25, 10, 0, tzinfo=UTC), "Asia/Shanghai") == "2026-11-25 18:00 Asia/Shanghai"
