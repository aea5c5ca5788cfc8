"""`kejing inbox …`: what one was told."""

from typing import Annotated, Any

import typer

from services.cli.options import ME, As, Json

app = typer.Typer()
inbox = typer.Typer(no_args_is_help=True)
app.add_typer(inbox, name="inbox", help="Alerts, reminders and overdue tasks of one employee.")


@inbox.command("list")
def list_inbox(
    unread: Annotated[bool, typer.Option("--unread", help="Only those that were not read.")] = False,
    size: Annotated[int, typer.Option("-n", min=1, max=500, help="At most this many.")] = 50,
    page: Annotated[str, typer.Option(metavar="TOKEN", help="The next_page_token of the page before.")] = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """List one's items, newest first."""
    from kejing.notifications.v1 import inbox_service_pb2, inbox_service_pb2_grpc
    from services.cli.client import connect
    from services.cli.output import show

    asked = inbox_service_pb2.ListInboxRequest(unread_only=unread, page_size=size, page_token=page)
    with connect(login) as kejing:
        answer = kejing.stub(inbox_service_pb2_grpc.InboxServiceStub).ListInbox(asked)
    show(answer, answer.items, COLUMNS, as_json=as_json)


@inbox.command("read")
def mark_read(
    items: Annotated[list[str], typer.Argument(metavar="ITEM_ID...")],
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Mark items as read."""
    from kejing.notifications.v1 import inbox_service_pb2, inbox_service_pb2_grpc
    from services.cli.client import connect, new_request_id
    from services.cli.output import show

    order = inbox_service_pb2.MarkReadRequest(request_id=new_request_id(), item_ids=items)
    with connect(login) as kejing:
        answer = kejing.stub(inbox_service_pb2_grpc.InboxServiceStub).MarkRead(order)
    show(answer, answer.items, COLUMNS, as_json=as_json)


def _facts(row: Any) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(row.facts.items()))


COLUMNS: dict[str, Any] = {"came": "created_at", "about": "kind", "customer": "customer_id", "facts": _facts,
           "read": "read_at", "id": "id"}  # fmt: skip
