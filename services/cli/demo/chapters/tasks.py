"""Follow-ups, and tasks whose deadlines are promises."""

from datetime import datetime, timedelta

from google.type.date_pb2 import Date
from google.type.timeofday_pb2 import TimeOfDay

from kejing.notifications.v1 import inbox_pb2, inbox_service_pb2, inbox_service_pb2_grpc
from kejing.tasks.v1 import (
    follow_ups_service_pb2,
    follow_ups_service_pb2_grpc,
    task_pb2,
    tasks_service_pb2,
    tasks_service_pb2_grpc,
    themes_service_pb2,
    themes_service_pb2_grpc,
)
from services.cli.demo.stage import Stage

DEADLINE_SECONDS = 5
"""How far ahead the deadline lies that is let pass."""


def play(stage: Stage) -> None:
    teller = stage.teller
    teller.chapter("Tasks 任务: a promise about time is kept")
    themes = stage.stub(themes_service_pb2_grpc.ThemesServiceStub).ListThemes(themes_service_pb2.ListThemesRequest())
    teller.step("Every follow-up, task and process is about a theme 业务主题:")
    teller.happened(" · ".join(f"{theme.name} ({theme.key})" for theme in themes.themes))
    due = _let_a_deadline_pass(stage)
    task_id = _postpone(stage)
    _complete(stage, task_id)
    _await_overdue(stage, due)


def _let_a_deadline_pass(stage: Stage) -> str:
    """Makes a task whose deadline passes during the chapter; answers its id."""
    customer = of_csm_li(stage)[0]
    at = stage.now + timedelta(seconds=DEADLINE_SECONDS)
    stage.teller.step(f"csm.li has to call {stage.name_of(customer)} by {at:%H:%M:%S}. She won't.")
    request = tasks_service_pb2.CreateTaskRequest(
        request_id=stage.request_id(),
        customer_id=customer,
        title="回访电话 Call back",
        theme_key="value",
        priority=task_pb2.TASK_PRIORITY_HIGH,
        deadline=deadline(at),
    )
    task = stage.once_known(
        lambda: stage.stub(tasks_service_pb2_grpc.TasksServiceStub, "csm.li").CreateTask(request).task
    )
    stage.teller.happened(
        f"task {task.id}: its workflow task/{task.id} holds the deadline, whatever happens to a process"
    )
    return task.id


def _postpone(stage: Stage) -> str:
    teller, customer = stage.teller, of_csm_li(stage)[1]
    tasks = stage.stub(tasks_service_pb2_grpc.TasksServiceStub, "csm.li")
    teller.step(f"A renewal task for {stage.name_of(customer)} is postponed (延期): a later date, and a reason.")
    request = tasks_service_pb2.CreateTaskRequest(
        request_id=stage.request_id(),
        customer_id=customer,
        title="续约沟通 Talk about the renewal",
        theme_key="renewal",
        deadline=deadline(stage.now + timedelta(days=3), with_time=False),
    )
    task = tasks.CreateTask(request).task
    for days, reason in ((5, "客户出差 The customer travels"), (8, "等待预算批复 Waits for the budget")):
        later = tasks_service_pb2.PostponeTaskRequest(
            request_id=stage.request_id(),
            task_id=task.id,
            deadline=deadline(stage.now + timedelta(days=days), with_time=False),
            reason=reason,
        )
        tasks.PostponeTask(later)
    teller.step("Its ledger keeps every move:")
    moves = tasks.ListPostponements(tasks_service_pb2.ListPostponementsRequest(task_id=task.id)).postponements
    rows = [
        (move.number, _day_of(stage, move.from_deadline_at), _day_of(stage, move.to_deadline_at),
         stage.login_of(move.postponed_by), move.reason)
        for move in moves
    ]  # fmt: skip
    teller.table(("#", "from", "to", "by", "why"), rows)
    return task.id


def _complete(stage: Stage, task_id: str) -> None:
    teller, customer = stage.teller, of_csm_li(stage)[1]
    tasks = stage.stub(tasks_service_pb2_grpc.TasksServiceStub, "csm.li")
    teller.step("A task is done only when a follow-up 跟进记录 says what was done. Without one:")

    def complete() -> tasks_service_pb2.CompleteTaskResponse:
        return tasks.CompleteTask(tasks_service_pb2.CompleteTaskRequest(request_id=stage.request_id(), task_id=task_id))

    stage.refused(complete, "FOLLOW_UP_MISSING")
    record_follow_up(stage, "csm.li", customer, "renewal", task_id, "电话沟通续约，客户认可价值。Talked on the phone.")
    done = complete().task
    teller.happened(f"with one it is {task_pb2.TaskState.Name(done.state).removeprefix('TASK_STATE_')}")


def record_follow_up(stage: Stage, login: str, customer_id: str, theme: str, task_id: str, content: str) -> None:
    """Records a telephone call of the employee, now."""
    stage.stub(follow_ups_service_pb2_grpc.FollowUpsServiceStub, login).CreateFollowUp(
        follow_ups_service_pb2.CreateFollowUpRequest(
            request_id=stage.request_id(),
            customer_id=customer_id,
            theme_key=theme,
            channel=follow_ups_service_pb2.CHANNEL_CALL,
            content=content,
            task_id=task_id,
        )
    )


def _await_overdue(stage: Stage, task_id: str) -> None:
    teller = stage.teller
    teller.step("Meanwhile the first task's deadline passes: csm.li finds it in her inbox.")
    inbox = stage.stub(inbox_service_pb2_grpc.InboxServiceStub, "csm.li")

    def notice() -> inbox_pb2.InboxItem | None:
        items = inbox.ListInbox(inbox_service_pb2.ListInboxRequest(page_size=50)).items
        overdue = inbox_pb2.INBOX_ITEM_KIND_TASK_OVERDUE
        return next((item for item in items if item.task_id == task_id and item.kind == overdue), None)

    item = teller.until("the overdue notice has arrived", notice, within=DEADLINE_SECONDS + 20)
    deadline_at = datetime.fromisoformat(item.facts["deadline_at"])
    late = item.created_at.ToDatetime(deadline_at.tzinfo) - deadline_at
    teller.happened(f"overdue 逾期 in the inbox {max(late.total_seconds(), 0):.2f} s after the deadline")


def deadline(at: datetime, *, with_time: bool = True) -> task_pb2.Deadline:
    """The deadline at an instant of the business time zone, or at the end of its day."""
    found = task_pb2.Deadline(date=Date(year=at.year, month=at.month, day=at.day))
    if with_time:
        found.time.CopyFrom(TimeOfDay(hours=at.hour, minutes=at.minute, seconds=at.second))
    return found


def of_csm_li(stage: Stage) -> list[str]:
    """Ids of companies that csm.li looks after and that still buy."""
    return [
        stage.customer_ids[c.external_id]
        for c in stage.customers
        if c.owners["CSM"] == "csm.li" and c.plan != "churned" and not c.individual
    ]


def _day_of(stage: Stage, instant: object) -> str:
    """The business date of a Timestamp; a deadline at the end of a day lies at the first instant of the next."""
    at: datetime = instant.ToDatetime(stage.zone)  # type: ignore[attr-defined]
    return f"{(at - timedelta(seconds=1)).date()}"
