"""`kejing follow-ups …`: interactions with customers, as recorded."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from services.cli.options import ME, As, Json

app = typer.Typer()
follow_ups = typer.Typer(no_args_is_help=True)
app.add_typer(follow_ups, name="follow-ups", help="Interactions with customers, as recorded.")

Size = Annotated[int, typer.Option("-n", min=1, max=500, help="At most this many.")]
Page = Annotated[str, typer.Option("--page", metavar="TOKEN", help="The next_page_token of the page before.")]


class Channel(StrEnum):
    CALL = "call"
    VISIT = "visit"
    ONLINE = "online"
    EMAIL = "email"
    WECHAT = "wechat"
    OTHER = "other"


@follow_ups.command("add")
def add_follow_up(
    content: Annotated[str, typer.Argument(help="What was said and done.")],
    customer: Annotated[str, typer.Option(metavar="ID", help="The customer.")],
    theme: Annotated[str, typer.Option(metavar="KEY", help="As `kejing themes list` names it.")] = "value",
    channel: Annotated[Channel, typer.Option()] = Channel.CALL,
    task: Annotated[str, typer.Option(metavar="ID", help="The open task that it serves.")] = "",
    feedback: Annotated[str, typer.Option(help="What the customer said of it.")] = "",
    next_step: Annotated[str, typer.Option("--next", help="What comes next.")] = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Record an interaction that took place just now."""
    from kejing.tasks.v1 import follow_ups_service_pb2 as pb
    from services.cli.client import new_request_id
    from services.cli.output import show_one

    asked = pb.CreateFollowUpRequest(
        request_id=new_request_id(),
        customer_id=customer,
        theme_key=theme,
        channel=pb.Channel.Value(f"CHANNEL_{channel.name}"),
        content=content,
        customer_feedback=feedback,
        next_step=next_step,
        task_id=task,
    )
    answer = _follow_ups(login, "CreateFollowUp", asked)
    names = ("theme_key", "channel", "occurred_at", "content", "next_step", "customer_id", "task_id", "id")
    show_one(answer, answer.follow_up, {name.replace("_", " "): name for name in names}, as_json=as_json)


@follow_ups.command("list")
def list_follow_ups(
    customer: Annotated[str, typer.Option(metavar="ID", help="Only of this customer.")] = "",
    task: Annotated[str, typer.Option(metavar="ID", help="Only of this task.")] = "",
    theme: Annotated[str, typer.Option(metavar="KEY")] = "",
    author: Annotated[str, typer.Option(metavar="ID", help="Only by this employee.")] = "",
    size: Size = 50,
    page: Page = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """List follow-ups, latest first."""
    from kejing.tasks.v1.follow_ups_service_pb2 import ListFollowUpsRequest
    from services.cli.output import show

    asked = ListFollowUpsRequest(
        customer_id=customer, task_id=task, theme_key=theme, author_id=author, page_size=size, page_token=page
    )
    answer = _follow_ups(login, "ListFollowUps", asked)
    columns: dict[str, Any] = {"occurred": "occurred_at", "channel": "channel", "theme": "theme_key",
               "content": "content", "customer": "customer_id", "task": "task_id", "id": "id"}  # fmt: skip
    show(answer, answer.follow_ups, columns, as_json=as_json)


def _follow_ups(login: str, method: str, request: Any) -> Any:
    from kejing.tasks.v1.follow_ups_service_pb2_grpc import FollowUpsServiceStub
    from services.cli.client import connect

    with connect(login) as kejing:
        return getattr(kejing.stub(FollowUpsServiceStub), method)(request)
