"""Tasks by gRPC: creating, doing, postponing, completing, finding them."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from google.type.date_pb2 import Date
from google.type.timeofday_pb2 import TimeOfDay

from kejing.tasks.v1 import events_pb2, task_pb2
from kejing.tasks.v1 import tasks_service_pb2 as pb
from services.shared.ids import new_id
from tests.support.eventually import eventually
from tests.support.refusals import refused
from tests.support.services import RunningServices
from tests.support.tasks import Team, deadline_after, deadline_in, make_team, rid

TODO, IN_PROGRESS = task_pb2.TASK_STATE_TODO, task_pb2.TASK_STATE_IN_PROGRESS
DONE, CANCELLED = task_pb2.TASK_STATE_DONE, task_pb2.TASK_STATE_CANCELLED
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
async def team(services: RunningServices) -> Team:
    return await make_team(services)


async def events_of(team: Team, task: task_pb2.Task) -> list[events_pb2.TaskChanged]:
    return await team.told(events_pb2.TaskChanged, facts__task_id=task.id)


async def test_a_new_task_is_the_callers_to_do_by_the_end_of_the_business_day(team: Team) -> None:
    task = await team.task(deadline=deadline_in(days=3))
    assert task == await team.get(task.id)
    assert (task.state, task.version, task.assignee_id, task.created_by) == (TODO, 1, team.csm.id, team.csm.id)
    assert (task.priority, task.origin) == (task_pb2.TASK_PRIORITY_NORMAL, task_pb2.TASK_ORIGIN_MANUAL)
    at = task.deadline_at.ToDatetime() + timedelta(hours=8)
    assert (at.hour, at.minute) == (0, 0)
    assert (at.date() - timedelta(days=1)).day == task.deadline.date.day
    assert not task.deadline.HasField("time")
    assert task.original_deadline_at == task.deadline_at


async def test_a_deadline_with_a_time_is_that_time_of_the_business_zone(team: Team) -> None:
    task = await team.task(deadline=deadline_in(days=1, at=TimeOfDay(hours=0, minutes=0)))
    at = task.deadline_at.ToDatetime() + timedelta(hours=8)
    assert (at.day, at.hour) == (task.deadline.date.day, 0)
    assert task.deadline.HasField("time")


async def test_the_event_of_a_new_task_carries_its_facts_and_no_text(team: Team) -> None:
    task = await team.task(title="Ask about Mrs Wang's baby", deadline=deadline_in(days=3))
    [event] = await events_of(team, task)
    facts = event.facts
    assert (facts.assignee_id, facts.state, facts.version, facts.customer_label) == (team.csm.id, TODO, 1, "ACME")
    assert facts.deadline_at == task.deadline_at
    before = [task.deadline_at.ToDatetime() - reminder.ToDatetime() for reminder in facts.reminders_at]
    assert before == [DAY, timedelta(hours=2)]
    assert b"Wang" not in event.SerializeToString()


async def test_reminders_that_would_lie_before_the_creation_are_left_out(team: Team) -> None:
    task = await team.task(deadline=deadline_after(timedelta(hours=3)))
    [event] = await events_of(team, task)
    assert [task.deadline_at.seconds - reminder.seconds for reminder in event.facts.reminders_at] == [7200]


async def test_a_repeated_creation_is_answered_with_the_same_task(team: Team) -> None:
    request = team.new_task(await team.customer())
    answers = await asyncio.gather(*(team.csm.tasks.CreateTask(request) for _ in range(4)))
    assert len({answer.task.id for answer in answers}) == 1
    assert len(await events_of(team, answers[0].task)) == 1
    request.title = "Another"
    refusal = await refused(team.csm.tasks.CreateTask(request))
    assert (refusal.code, refusal.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"title": ""}, "title", "INVALID_FIELD"),
        ({"title": "x" * 201}, "title", "INVALID_FIELD"),
        ({"title": "nu\0l"}, "request", "INVALID_FIELD"),
        ({"customer_id": "7"}, "customer_id", "INVALID_FIELD"),
        ({"deadline": None}, "deadline", "INVALID_FIELD"),
        ({"deadline": task_pb2.Deadline(date=Date(year=2027, month=2, day=29))}, "deadline.date", "INVALID_FIELD"),
        ({"deadline": deadline_in(days=1, at=TimeOfDay(hours=25))}, "deadline.time", "INVALID_FIELD"),
        ({"deadline": task_pb2.Deadline(date=Date(year=9999, month=12, day=31))}, "deadline", "INVALID_FIELD"),
        ({"deadline": deadline_in(days=-1)}, "deadline", "DEADLINE_PASSED"),
    ],
)
async def test_a_wrong_field_is_named(team: Team, changes: dict[str, Any], field: str, reason: str) -> None:
    request = team.new_task(str(changes.pop("customer_id", "")) or await team.customer(), **changes)
    refusal = await refused(team.csm.tasks.CreateTask(request))
    assert (refusal.code, refusal.reason, refusal.fields) == ("INVALID_ARGUMENT", reason, (field,))


async def test_what_is_unknown_is_not_found_and_nothing_is_written(team: Team, services: RunningServices) -> None:
    await services.start("customers")  # which knows nobody
    customer = await team.customer()

    async def unknown_customer() -> bool:
        refusal = await refused(team.csm.tasks.CreateTask(team.new_task(str(new_id()))))
        return (refusal.code, refusal.reason) == ("NOT_FOUND", "CUSTOMER_NOT_FOUND")

    await eventually(unknown_customer)  # UNAVAILABLE until the channel has found that customers is up
    for changes, reason in (
        ({"theme_key": "weather"}, "THEME_NOT_FOUND"),
        ({"assignee_id": str(new_id())}, "EMPLOYEE_NOT_FOUND"),
    ):
        refusal = await refused(team.csm.tasks.CreateTask(team.new_task(customer, **changes)))
        assert (refusal.code, refusal.reason) == ("NOT_FOUND", reason)
    refusal = await refused(team.csm.tasks.GetTask(pb.GetTaskRequest(task_id=str(new_id()))))
    assert refusal.reason == "TASK_NOT_FOUND"
    listed = await team.csm.tasks.ListTasks(pb.ListTasksRequest(customer_id=customer))
    assert not listed.tasks


async def test_a_task_is_started_once(team: Team) -> None:
    task = await team.task()
    started = (await team.csm.tasks.StartTask(pb.StartTaskRequest(request_id=rid(), task_id=task.id))).task
    assert (started.state, started.version) == (IN_PROGRESS, 2)
    refusal = await refused(team.csm.tasks.StartTask(pb.StartTaskRequest(request_id=rid(), task_id=task.id)))
    assert (refusal.code, refusal.reason, refusal.metadata) == (
        "FAILED_PRECONDITION", "TASK_STATE", {"state": "IN_PROGRESS"},
    )  # fmt: skip


async def test_completion_needs_a_follow_up_by_the_assignee_or_somebody_above(team: Team) -> None:
    task = await team.task()
    assert (await refused(team.complete(task))).reason == "FOLLOW_UP_MISSING"
    await team.follow_up(task, team.colleague)
    assert (await refused(team.complete(task))).reason == "FOLLOW_UP_MISSING"
    await team.follow_up(task, team.manager)
    done = await team.complete(task)
    assert (done.state, done.closed_by) == (DONE, team.csm.id)
    assert done.HasField("closed_at")
    assert (await refused(team.complete(task))).reason == "TASK_STATE"


async def test_a_follow_up_begins_the_task_that_it_serves(team: Team) -> None:
    task = await team.task()
    follow_up = await team.follow_up(task, team.csm)
    assert (await team.get(task.id)).state == IN_PROGRESS
    await team.follow_up(task, team.csm)
    assert (await team.get(task.id)).version == 2
    [event, _] = await team.told(events_pb2.FollowUpRecorded, task_id=task.id)
    assert (event.follow_up_id, event.author_id) == (follow_up.id, team.csm.id)
    await team.complete(task)
    assert (await refused(team.follow_up(task, team.csm))).reason == "TASK_STATE"


async def test_concurrent_completions_complete_once(team: Team) -> None:
    task = await team.task()
    await team.follow_up(task, team.csm)
    answers = await asyncio.gather(*(team.complete(task) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(answer, task_pb2.Task) for answer in answers) == 1
    assert (await team.get(task.id)).version == 3


async def test_a_postponement_moves_the_deadline_and_stays_in_the_ledger(team: Team) -> None:
    task = await team.task(deadline=deadline_in(days=3))
    for days, reason in ((5, "They are ill"), (9, "Holidays")):
        request = pb.PostponeTaskRequest(
            request_id=rid(), task_id=task.id, deadline=deadline_in(days=days), reason=reason
        )
        moved = (await team.csm.tasks.PostponeTask(request)).task
        again = (await team.csm.tasks.PostponeTask(request)).task
        assert again == moved
    assert (moved.postponement_count, moved.original_deadline_at) == (2, task.original_deadline_at)
    ledger = (await team.csm.tasks.ListPostponements(pb.ListPostponementsRequest(task_id=task.id))).postponements
    assert [(line.number, line.reason, line.postponed_by) for line in ledger] == [
        (1, "They are ill", team.csm.id),
        (2, "Holidays", team.csm.id),
    ]
    assert [line.from_deadline_at for line in ledger] == [task.deadline_at, ledger[0].to_deadline_at]
    assert ledger[1].to_deadline_at == moved.deadline_at
    facts = (await events_of(team, task))[-1].facts
    assert (facts.version, facts.deadline_at) == (3, moved.deadline_at)


@pytest.mark.parametrize(
    ("days", "reason"), [(-1, "DEADLINE_PASSED"), (3, "DEADLINE_NOT_LATER"), (2, "DEADLINE_NOT_LATER")]
)
async def test_a_deadline_moves_only_to_a_later_one(team: Team, days: int, reason: str) -> None:
    task = await team.task(deadline=deadline_in(days=3))
    request = pb.PostponeTaskRequest(request_id=rid(), task_id=task.id, deadline=deadline_in(days=days), reason="x")
    refusal = await refused(team.csm.tasks.PostponeTask(request))
    assert (refusal.code, refusal.reason, refusal.fields) == ("INVALID_ARGUMENT", reason, ("deadline",))
    assert await team.get(task.id) == task


async def test_a_cancelled_task_tells_why_and_does_nothing_more(team: Team) -> None:
    task = await team.task()
    request = pb.CancelTaskRequest(request_id=rid(), task_id=task.id, reason="They left")
    cancelled = (await team.csm.tasks.CancelTask(request)).task
    assert (cancelled.state, cancelled.cancel_reason, cancelled.closed_by) == (CANCELLED, "They left", team.csm.id)
    postpone = pb.PostponeTaskRequest(request_id=rid(), task_id=task.id, deadline=deadline_in(days=9), reason="x")
    reopen = pb.ReopenTaskRequest(request_id=rid(), task_id=task.id)
    for call in (team.csm.tasks.PostponeTask(postpone), team.csm.tasks.ReopenTask(reopen)):
        assert (await refused(call)).reason == "TASK_STATE"


async def test_a_done_task_is_reopened_within_a_day(team: Team) -> None:
    task = await team.task(deadline=deadline_after(timedelta(hours=20)))
    await team.follow_up(task, team.csm)
    await team.complete(task)
    reopened = (await team.csm.tasks.ReopenTask(pb.ReopenTaskRequest(request_id=rid(), task_id=task.id))).task
    assert (reopened.state, reopened.closed_by, reopened.HasField("closed_at")) == (IN_PROGRESS, "", False)
    await team.complete(task)
    bare = pb.ReopenTaskRequest(request_id=rid(), task_id=task.id)
    try:
        team.services.clock.shift = timedelta(hours=23, minutes=59)
        assert (await refused(team.csm.tasks.ReopenTask(bare))).reason == "DEADLINE_PASSED"
        team.services.clock.shift = timedelta(hours=24, minutes=1)
        assert (await refused(team.csm.tasks.ReopenTask(bare))).reason == "REOPEN_TOO_LATE"
    finally:
        team.services.clock.shift = timedelta()


async def test_a_reopening_with_a_new_deadline_is_a_line_of_the_ledger(team: Team) -> None:
    task = await team.task(deadline=deadline_in(days=1))
    await team.follow_up(task, team.csm)
    await team.complete(task)
    request = pb.ReopenTaskRequest(request_id=rid(), task_id=task.id, deadline=deadline_in(days=6))
    reopened = (await team.csm.tasks.ReopenTask(request)).task
    ledger = (await team.csm.tasks.ListPostponements(pb.ListPostponementsRequest(task_id=task.id))).postponements
    assert [line.to_deadline_at for line in ledger] == [reopened.deadline_at]
    assert reopened.postponement_count == 1


async def test_a_reassigned_task_is_completed_by_a_follow_up_of_the_new_assignee(team: Team) -> None:
    task = await team.task()
    await team.follow_up(task, team.colleague)
    request = pb.ReassignTaskRequest(request_id=rid(), task_id=task.id, assignee_id=team.colleague.id)
    assert (await team.csm.tasks.ReassignTask(request)).task.assignee_id == team.colleague.id
    assert (await team.complete(task)).state == DONE
    unknown = pb.ReassignTaskRequest(request_id=rid(), task_id=task.id, assignee_id=str(new_id()))
    assert (await refused(team.csm.tasks.ReassignTask(unknown))).reason == "EMPLOYEE_NOT_FOUND"


async def test_an_employee_who_has_left_is_given_no_work(team: Team) -> None:
    gone = await team.employee("gone")
    task = await team.task(await team.customer(owners={"CSM": team.csm.id, "ANALYST": gone.id}))
    await team.leave(gone, successor=team.colleague)
    create = team.new_task(task.customer_id, assignee_id=gone.id)
    reassign = pb.ReassignTaskRequest(request_id=rid(), task_id=task.id, assignee_id=gone.id)
    for call in (team.csm.tasks.CreateTask(create), team.csm.tasks.ReassignTask(reassign)):
        refusal = await refused(call)
        assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "EMPLOYEE_INACTIVE")


async def test_pages_walk_through_all_tasks_once_by_deadline(team: Team) -> None:
    customer = await team.customer()
    made = [await team.task(customer, deadline=deadline_in(days=days)) for days in (5, 2, 9, 2, 7)]
    request, seen = pb.ListTasksRequest(customer_id=customer, page_size=2), []
    while True:
        page = await team.csm.tasks.ListTasks(request)
        seen += page.tasks
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert [task.id for task in seen] == [t.id for t in sorted(made, key=lambda t: (t.deadline_at.seconds, t.id))]
    request.theme_key = "renewal"
    refusal = await refused(team.csm.tasks.ListTasks(request))
    assert (refusal.code, refusal.fields) == ("INVALID_ARGUMENT", ("page_token",))


async def test_filters_all_hold_and_overdue_is_open_with_a_passed_deadline(team: Team) -> None:
    customer = await team.customer()
    late, later = [await team.task(customer, deadline=deadline_in(days=days)) for days in (1, 8)]
    gone = await team.task(customer, by=team.colleague, deadline=deadline_in(days=1))
    await team.csm.tasks.CancelTask(pb.CancelTaskRequest(request_id=rid(), task_id=gone.id, reason="x"))

    async def listed(**only: Any) -> set[str]:
        request = pb.ListTasksRequest(customer_id=customer, **only)
        return {task.id for task in (await team.csm.tasks.ListTasks(request)).tasks}

    assert await listed(states=[TODO]) == {late.id, later.id}
    assert await listed(states=[TODO, CANCELLED]) == {late.id, later.id, gone.id}
    assert await listed(assignee_id=team.colleague.id) == {gone.id}
    assert await listed(theme_key="renewal") == set()
    assert await listed(due_before=later.deadline_at, states=[TODO]) == {late.id}
    try:
        team.services.clock.shift = timedelta(days=3)
        assert await listed(overdue=True) == {late.id}
        assert (await team.get(late.id)).overdue
        assert not (await team.get(gone.id)).overdue
    finally:
        team.services.clock.shift = timedelta()


async def test_only_machines_ring(team: Team) -> None:
    for call in (
        team.csm.tasks.ListOpenTaskFacts(pb.ListOpenTaskFactsRequest()),
        team.csm.tasks.NoticeTask(pb.NoticeTaskRequest()),
    ):
        assert (await refused(call)).code == "PERMISSION_DENIED"
