"""`kejing dead-letters …`: events that a service could not take."""

from typing import Annotated, Any

import typer

from services.cli.options import ME, As, Json

app = typer.Typer()
dead_letters = typer.Typer(no_args_is_help=True)
app.add_typer(dead_letters, name="dead-letters", help="Events that a service could not take.")

OfService = Annotated[str, typer.Option("--service", metavar="NAME", help="Whose, e.g. tasks.")]


@dead_letters.command("list")
def list_dead_letters(
    service: OfService,
    size: Annotated[int, typer.Option("-n", min=1, max=500, help="At most this many.")] = 50,
    page: Annotated[str, typer.Option(metavar="TOKEN", help="The next_page_token of the page before.")] = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """List a service's dead letters, oldest first."""
    from kejing.operations.v1.dead_letters_service_pb2 import ListDeadLettersRequest
    from services.cli.output import show

    answer = _call(login, service, "ListDeadLetters", ListDeadLettersRequest(page_size=size, page_token=page))
    columns: dict[str, Any] = {"failed": "failed_at", "consumer": "consumer", "subject": "subject", "error": "error",
               "event": "event_id"}  # fmt: skip
    show(answer, answer.dead_letters, columns, as_json=as_json)


@dead_letters.command("replay")
def replay_dead_letter(
    event: Annotated[str, typer.Argument(metavar="EVENT", help="The event, as `list` names it.")],
    service: OfService,
    consumer: Annotated[str, typer.Option(metavar="NAME", help="Which consumer; the service's own without.")] = "",
    login: As = ME,
) -> None:
    """Let a dead letter take effect after all."""
    from kejing.operations.v1.dead_letters_service_pb2 import ReplayDeadLetterRequest
    from services.cli.client import new_request_id

    asked = ReplayDeadLetterRequest(request_id=new_request_id(), consumer=consumer or service, event_id=event)
    _call(login, service, "ReplayDeadLetter", asked)
    print(f"event {event} took effect")


def _call(login: str, service: str, method: str, request: Any) -> Any:
    from kejing.operations.v1.dead_letters_service_pb2_grpc import DeadLettersServiceStub
    from services.cli.client import connect

    with connect(login) as kejing:
        return getattr(kejing.stub(DeadLettersServiceStub, part=service), method)(request)
