"""What a cell of a table says to a person."""

from datetime import UTC, datetime

import pytest
from google.type.date_pb2 import Date
from google.type.timeofday_pb2 import TimeOfDay

from kejing.tasks.v1.task_pb2 import TASK_STATE_DONE, Deadline, Task
from services.cli.output import cell


def test_an_instant_is_shown_in_the_business_time_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Task()
    task.created_at.FromDatetime(datetime(2026, 11, 25, 16, 30, tzinfo=UTC))
    assert cell(task, "created_at") == "2026-11-26 00:30:00+08:00"
    monkeypatch.setenv("KEJING_BUSINESS_TIME_ZONE", "Europe/Berlin")
    assert cell(task, "created_at") == "2026-11-25 17:30:00+01:00"


def test_a_deadline_is_its_date_with_the_time_where_one_was_agreed() -> None:
    task = Task(deadline=Deadline(date=Date(year=2026, month=11, day=25)))
    assert cell(task, "deadline") == "2026-11-25"
    task.deadline.time.CopyFrom(TimeOfDay(hours=14, minutes=30))
    assert cell(task, "deadline") == "2026-11-25 14:30:00"


def test_a_code_is_shown_as_a_word_and_what_is_absent_as_a_dash() -> None:
    task = Task(state=TASK_STATE_DONE)
    assert (cell(task, "state"), cell(task, "deadline"), cell(task, "title")) == ("done", "—", "—")


def test_markup_in_a_text_is_text() -> None:
    assert cell(Task(title="[red]Call[/red]"), "title") == r"\[red]Call\[/red]"
