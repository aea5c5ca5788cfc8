"""The clock's side of tasks: each ring takes effect once, and lost clocks are found again."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import select

from kejing.tasks.v1 import events_pb2, task_pb2
from kejing.tasks.v1 import tasks_service_pb2 as pb
from services.shared.ids import new_id
from services.tasks.storage.tables import tasks
from tests.support.refusals import refused
from tests.support.services import RunningServices
from tests.support.tasks import Team, deadline_after, deadline_in, make_team, rid, uid

REMINDER, OVERDUE = task_pb2.NOTICE_KIND_REMINDER, task_pb2.NOTICE_KIND_OVERDUE
NOTICED, MOVED, CLOSED = pb.NOTICE_OUTCOME_NOTICED, pb.NOTICE_OUTCOME_MOVED, pb.NOTICE_OUTCOME_CLOSED


@pytest.fixture(scope="module")
async def team(services: RunningServices) -> Team:
    return await make_team(services)


@pytest.fixture(autouse=True)
async def right_time(services: RunningServices) -> AsyncIterator[None]:
    yield
    services.clock.shift = timedelta()


def go_to(team: Team, instant: Timestamp, later: timedelta = timedelta()) -> None:
    team.services.clock.set(instant.ToDatetime(UTC) + later)


async def ring(
    team: Team, task: task_pb2.Task, kind: task_pb2.NoticeKind.ValueType, due_at: Timestamp
) -> pb.NoticeTaskResponse:
    request = pb.NoticeTaskRequest(task_id=task.id, kind=kind, due_at=due_at, deadline_at=task.deadline_at)
    answer: pb.NoticeTaskResponse = await team.machine.tasks.NoticeTask(request)
    return answer


async def told(team: Team, task: task_pb2.Task) -> list[events_pb2.TaskNoticed]:
    return await team.told(events_pb2.TaskNoticed, task_id=task.id)


async def next_notice(team: Team, task: task_pb2.Task) -> datetime | None:
    async with team.services.db("tasks").read(unscoped="what is stored") as read:
        query = select(tasks.c.next_notice_at).where(tasks.c.id == uid(task.id))
        at: datetime | None = (await read.execute(query)).scalar_one()
        return at


async def test_overdue_tells_the_assignee_and_his_manager_once(team: Team) -> None:
    task = await team.task(deadline=deadline_in(days=3))
    go_to(team, task.deadline_at, timedelta(minutes=5))
    answers = await asyncio.gather(*(ring(team, task, OVERDUE, task.deadline_at) for _ in range(5)))
    assert {answer.outcome for answer in answers} == {NOTICED}
    [event] = await told(team, task)
    assert list(event.recipient_ids) == [team.csm.id, team.manager.id]
    assert (event.kind, event.deadline_at, event.due_at) == (OVERDUE, task.deadline_at, task.deadline_at)
    assert 299 <= event.late_by.seconds <= 320


async def test_a_reminder_tells_the_assignee_alone(team: Team) -> None:
    task = await team.task(deadline=deadline_in(days=3))
    [created] = await team.told(events_pb2.TaskChanged, facts__task_id=task.id)
    first, second = created.facts.reminders_at
    assert (await next_notice(team, task)).timestamp() == first.seconds  # type: ignore[union-attr]
    go_to(team, first)
    answer = await ring(team, task, REMINDER, first)
    assert answer.outcome == NOTICED
    assert answer.facts == created.facts
    [event] = await told(team, task)
    assert list(event.recipient_ids) == [team.csm.id]
    assert (await next_notice(team, task)).timestamp() == second.seconds  # type: ignore[union-attr]
    assert (await team.get(task.id)).version == 1


async def test_after_the_last_notice_no_more_is_due(team: Team) -> None:
    task = await team.task(deadline=deadline_in(days=3))
    [created] = await team.told(events_pb2.TaskChanged, facts__task_id=task.id)
    for reminder in created.facts.reminders_at:
        go_to(team, reminder, timedelta(minutes=1))
        await ring(team, task, REMINDER, reminder)
    go_to(team, task.deadline_at, timedelta(hours=1))
    await ring(team, task, OVERDUE, task.deadline_at)
    assert await next_notice(team, task) is None
    assert [event.kind for event in await told(team, task)] == [REMINDER, REMINDER, OVERDUE]


async def test_a_reminder_that_could_not_be_given_before_the_deadline_is_not_given_after_it(team: Team) -> None:
    task = await team.task(deadline=deadline_in(days=3))
    [created] = await team.told(events_pb2.TaskChanged, facts__task_id=task.id)
    go_to(team, task.deadline_at)
    answer = await ring(team, task, REMINDER, created.facts.reminders_at[1])
    assert answer.outcome == NOTICED
    assert await told(team, task) == []
    await ring(team, task, OVERDUE, task.deadline_at)
    assert [event.kind for event in await told(team, task)] == [OVERDUE]


async def test_a_clock_that_knew_another_deadline_learns_the_true_one(team: Team) -> None:
    task = await team.task(deadline=deadline_in(days=2))
    later = pb.PostponeTaskRequest(request_id=rid(), task_id=task.id, deadline=deadline_in(days=9), reason="x")
    moved = (await team.csm.tasks.PostponeTask(later)).task
    go_to(team, task.deadline_at)
    answer = await ring(team, task, OVERDUE, task.deadline_at)
    assert (answer.outcome, answer.facts.deadline_at, answer.facts.version) == (MOVED, moved.deadline_at, 2)
    assert await told(team, task) == []
    go_to(team, moved.deadline_at)
    assert (await ring(team, moved, OVERDUE, moved.deadline_at)).outcome == NOTICED


async def test_a_closed_task_is_silent(team: Team) -> None:
    task = await team.task(deadline=deadline_in(days=2))
    await team.csm.tasks.CancelTask(pb.CancelTaskRequest(request_id=rid(), task_id=task.id, reason="x"))
    go_to(team, task.deadline_at)
    answer = await ring(team, task, OVERDUE, task.deadline_at)
    assert (answer.outcome, answer.facts.state) == (CLOSED, task_pb2.TASK_STATE_CANCELLED)
    assert await told(team, task) == []
    assert await next_notice(team, task) is None


async def test_a_ring_before_its_time_is_refused(team: Team) -> None:
    task = await team.task(deadline=deadline_in(days=2))
    refusal = await refused(ring(team, task, OVERDUE, task.deadline_at))
    assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "NOT_DUE")
    go_to(team, task.deadline_at, -timedelta(seconds=1))  # clocks differ a little
    assert (await ring(team, task, OVERDUE, task.deadline_at)).outcome == NOTICED


async def test_a_ring_that_can_not_be_is_refused(team: Team) -> None:
    task = await team.task(deadline=deadline_in(days=2))
    early = Timestamp(seconds=task.deadline_at.seconds - 60)
    go_to(team, task.deadline_at, timedelta(hours=1))
    for kind, due_at in ((OVERDUE, early), (REMINDER, task.deadline_at)):
        refusal = await refused(ring(team, task, kind, due_at))
        assert (refusal.code, refusal.fields) == ("INVALID_ARGUMENT", ("due_at",))
    unknown = task_pb2.Task(id=str(new_id()), deadline_at=task.deadline_at)
    assert (await refused(ring(team, unknown, OVERDUE, task.deadline_at))).reason == "TASK_NOT_FOUND"


async def test_a_reopened_task_is_noticed_again_only_for_what_lies_ahead(team: Team) -> None:
    task = await team.task(deadline=deadline_after(timedelta(hours=20)))
    await team.follow_up(task, team.csm)
    await team.complete(task)
    assert await next_notice(team, task) is None
    go_to(team, task.deadline_at, -timedelta(hours=1))
    await team.csm.tasks.ReopenTask(pb.ReopenTaskRequest(request_id=rid(), task_id=task.id))
    assert (await next_notice(team, task)).timestamp() == task.deadline_at.seconds  # type: ignore[union-attr]
    facts = (await team.told(events_pb2.TaskChanged, facts__task_id=task.id))[-1].facts
    assert list(facts.reminders_at) == []


async def test_the_sweep_finds_open_tasks_whose_notice_is_overdue(team: Team) -> None:
    rung, forgotten, ahead = [await team.task(deadline=deadline_in(days=days)) for days in (4, 4, 8)]
    closed = await team.task(deadline=deadline_in(days=4))
    await team.csm.tasks.CancelTask(pb.CancelTaskRequest(request_id=rid(), task_id=closed.id, reason="x"))
    [facts] = await team.told(events_pb2.TaskChanged, facts__task_id=rung.id)
    go_to(team, rung.deadline_at, timedelta(minutes=1))
    for reminder in facts.facts.reminders_at:
        await ring(team, rung, REMINDER, reminder)
    await ring(team, rung, OVERDUE, rung.deadline_at)

    async def listed(request: pb.ListOpenTaskFactsRequest) -> set[str]:
        found: list[str] = []
        while True:
            page = await team.machine.tasks.ListOpenTaskFacts(request)
            found += [facts.task_id for facts in page.tasks]
            if not page.next_page_token:
                assert found == sorted(found)
                return set(found)
            request.page_token = page.next_page_token

    mine = {rung.id, forgotten.id, ahead.id, closed.id}
    late = Timestamp(seconds=rung.deadline_at.seconds + 60)
    assert mine & await listed(pb.ListOpenTaskFactsRequest(unnoticed_before=late, page_size=2)) == {forgotten.id}
    assert mine & await listed(pb.ListOpenTaskFactsRequest(page_size=3)) == {rung.id, forgotten.id, ahead.id}
