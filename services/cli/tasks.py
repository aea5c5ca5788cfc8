"""`kejing tasks …` and `kejing themes …`: what is to be done by when, and what it is about."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from services.cli.failure import CommandFailed
from services.cli.options import ME, As, Json

app = typer.Typer()
tasks = typer.Typer(no_args_is_help=True)
themes = typer.Typer(no_args_is_help=True)
app.add_typer(tasks, name="tasks", help="Tasks, their deadlines and postponements.")
app.add_typer(themes, name="themes", help="What interactions with customers are about.")

Id = Annotated[str, typer.Argument(metavar="ID", help="The task.")]
By = Annotated[
    str, typer.Option("--by", metavar="DATE[THH:MM]", help="The deadline; without a time the end of that business day.")
]
Size = Annotated[int, typer.Option("-n", min=1, max=500, help="At most this many.")]
Page = Annotated[str, typer.Option("--page", metavar="TOKEN", help="The next_page_token of the page before.")]

COLUMNS: dict[str, Any] = {
    "deadline": "deadline", "overdue": lambda task: "overdue" if task.overdue else "", "state": "state",
    "title": "title", "theme": "theme_key", "customer": "customer_id", "id": "id",
}  # fmt: skip
FIELDS: dict[str, Any] = {
    name.replace("_", " "): name
    for name in (
        "title", "state", "theme_key", "priority", "deadline", "overdue", "original_deadline_at",
        "postponement_count", "description", "customer_id", "assignee_id", "origin", "process_id", "stage_key",
        "required", "created_at", "created_by", "closed_at", "closed_by", "cancel_reason", "id",
    )
}  # fmt: skip


class State(StrEnum):
    TODO = "todo"
    IN_PROGRESS = "in-progress"
    DONE = "done"
    CANCELLED = "cancelled"


class Priority(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


@tasks.command("list")
def list_tasks(
    customer: Annotated[str, typer.Option(metavar="ID", help="Only of this customer.")] = "",
    assignee: Annotated[str, typer.Option(metavar="ID", help="Only of this employee.")] = "",
    theme: Annotated[str, typer.Option(metavar="KEY")] = "",
    process: Annotated[str, typer.Option(metavar="ID", help="Only of this process.")] = "",
    state: Annotated[list[State] | None, typer.Option(help="May be given several times.")] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only open ones whose deadline has passed.")] = False,
    size: Size = 50,
    page: Page = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """List tasks, earliest deadline first."""
    from kejing.tasks.v1 import task_pb2
    from kejing.tasks.v1.tasks_service_pb2 import ListTasksRequest
    from services.cli.output import show

    asked = ListTasksRequest(
        customer_id=customer,
        assignee_id=assignee,
        theme_key=theme,
        process_id=process,
        states=[task_pb2.TaskState.Value(f"TASK_STATE_{each.name}") for each in state or ()],
        overdue=overdue,
        page_size=size,
        page_token=page,
    )
    answer = _tasks(login, "ListTasks", asked)
    show(answer, answer.tasks, COLUMNS, as_json=as_json)


@tasks.command("get")
def get_task(task: Id, login: As = ME, as_json: Json = False) -> None:
    """Show one task."""
    from kejing.tasks.v1.tasks_service_pb2 import GetTaskRequest

    _show_task(_tasks(login, "GetTask", GetTaskRequest(task_id=task)), as_json=as_json)


@tasks.command("create")
def create_task(
    title: Annotated[str, typer.Argument(help="What is to be done.")],
    customer: Annotated[str, typer.Option(metavar="ID", help="For which customer.")],
    by: By,
    theme: Annotated[str, typer.Option(metavar="KEY", help="As `kejing themes list` names it.")] = "value",
    assignee: Annotated[str, typer.Option(metavar="ID", help="Who does it; I, without.")] = "",
    priority: Annotated[Priority, typer.Option()] = Priority.NORMAL,
    description: Annotated[str, typer.Option(help="More about it.")] = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Create a task with a deadline."""
    from kejing.tasks.v1 import task_pb2
    from kejing.tasks.v1.tasks_service_pb2 import CreateTaskRequest
    from services.cli.client import new_request_id

    asked = CreateTaskRequest(
        request_id=new_request_id(),
        customer_id=customer,
        title=title,
        theme_key=theme,
        assignee_id=assignee,
        priority=task_pb2.TaskPriority.Value(f"TASK_PRIORITY_{priority.name}"),
        deadline=_deadline(by),
        description=description,
    )
    _show_task(_tasks(login, "CreateTask", asked), as_json=as_json)


@tasks.command("start")
def start_task(task: Id, login: As = ME, as_json: Json = False) -> None:
    """Begin a task."""
    from kejing.tasks.v1.tasks_service_pb2 import StartTaskRequest
    from services.cli.client import new_request_id

    _show_task(_tasks(login, "StartTask", StartTaskRequest(request_id=new_request_id(), task_id=task)), as_json=as_json)


@tasks.command("postpone")
def postpone_task(
    task: Id,
    by: By,
    reason: Annotated[str, typer.Option(help="Why; goes into the ledger.")],
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Move the deadline of an open task."""
    from kejing.tasks.v1.tasks_service_pb2 import PostponeTaskRequest
    from services.cli.client import new_request_id

    asked = PostponeTaskRequest(request_id=new_request_id(), task_id=task, deadline=_deadline(by), reason=reason)
    _show_task(_tasks(login, "PostponeTask", asked), as_json=as_json)


@tasks.command("complete")
def complete_task(task: Id, login: As = ME, as_json: Json = False) -> None:
    """Complete a task; it needs a follow-up by its assignee or a manager."""
    from kejing.tasks.v1.tasks_service_pb2 import CompleteTaskRequest
    from services.cli.client import new_request_id

    asked = CompleteTaskRequest(request_id=new_request_id(), task_id=task)
    _show_task(_tasks(login, "CompleteTask", asked), as_json=as_json)


@tasks.command("reopen")
def reopen_task(
    task: Id,
    by: Annotated[str, typer.Option("--by", metavar="DATE[THH:MM]", help="A new deadline.")] = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Take a task up again within 24 hours of its completion."""
    from kejing.tasks.v1.tasks_service_pb2 import ReopenTaskRequest
    from services.cli.client import new_request_id

    asked = ReopenTaskRequest(request_id=new_request_id(), task_id=task, deadline=_deadline(by) if by else None)
    _show_task(_tasks(login, "ReopenTask", asked), as_json=as_json)


@tasks.command("cancel")
def cancel_task(
    task: Id, reason: Annotated[str, typer.Option(help="Why.")], login: As = ME, as_json: Json = False
) -> None:
    """Give a task up."""
    from kejing.tasks.v1.tasks_service_pb2 import CancelTaskRequest
    from services.cli.client import new_request_id

    asked = CancelTaskRequest(request_id=new_request_id(), task_id=task, reason=reason)
    _show_task(_tasks(login, "CancelTask", asked), as_json=as_json)


@tasks.command("reassign")
def reassign_task(
    task: Id,
    assignee: Annotated[str, typer.Option("--to", metavar="ID", help="The employee who does it from now on.")],
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Give a task to another employee."""
    from kejing.tasks.v1.tasks_service_pb2 import ReassignTaskRequest
    from services.cli.client import new_request_id

    asked = ReassignTaskRequest(request_id=new_request_id(), task_id=task, assignee_id=assignee)
    _show_task(_tasks(login, "ReassignTask", asked), as_json=as_json)


@tasks.command("ledger")
def ledger(task: Id, login: As = ME, as_json: Json = False) -> None:
    """Show how a task's deadline was moved, first to last."""
    from kejing.tasks.v1.tasks_service_pb2 import ListPostponementsRequest
    from services.cli.output import show

    answer = _tasks(login, "ListPostponements", ListPostponementsRequest(task_id=task))
    columns: dict[str, Any] = {"no.": "number", "from": "from_deadline_at", "to": "to_deadline_at", "reason": "reason",
               "by": "postponed_by", "at": "postponed_at"}  # fmt: skip
    show(answer, answer.postponements, columns, as_json=as_json)


@themes.command("list")
def list_themes(login: As = ME, as_json: Json = False) -> None:
    """List all themes by key."""
    from kejing.tasks.v1 import themes_service_pb2, themes_service_pb2_grpc
    from services.cli.client import connect
    from services.cli.output import show

    with connect(login) as kejing:
        stub = kejing.stub(themes_service_pb2_grpc.ThemesServiceStub)
        answer = stub.ListThemes(themes_service_pb2.ListThemesRequest())
    columns: dict[str, Any] = {"key": "key", "name": "name", "colour": "color", "offered": "active"}
    show(answer, answer.themes, columns, as_json=as_json)


def _tasks(login: str, method: str, request: Any) -> Any:
    from kejing.tasks.v1.tasks_service_pb2_grpc import TasksServiceStub
    from services.cli.client import connect

    with connect(login) as kejing:
        return getattr(kejing.stub(TasksServiceStub), method)(request)


def _show_task(answer: Any, *, as_json: bool) -> None:
    from services.cli.output import show_one

    show_one(answer, answer.task, FIELDS, as_json=as_json)


def _deadline(text: str) -> Any:
    """The contract's Deadline of "2026-12-01" or "2026-12-01T14:30". Raises CommandFailed for another form."""
    from google.type.date_pb2 import Date
    from google.type.timeofday_pb2 import TimeOfDay

    from kejing.tasks.v1.task_pb2 import Deadline

    try:
        if len(text) == len("2026-12-01"):
            day, time = date.fromisoformat(text), None
        else:
            at = datetime.fromisoformat(text)
            day, time = at.date(), TimeOfDay(hours=at.hour, minutes=at.minute, seconds=at.second)
    except ValueError as error:
        raise CommandFailed(f"--by is {text!r}; write 2026-12-01 or 2026-12-01T14:30 (business time)") from error
    if time is not None and at.tzinfo is not None:
        raise CommandFailed(f"--by is {text!r}; it is in business time, so name no time zone")
    return Deadline(date=Date(year=day.year, month=day.month, day=day.day), time=time)
