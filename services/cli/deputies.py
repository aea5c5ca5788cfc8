"""`kejing deputy …`: who stands in for whom. The deputy then acts by `kejing --for LOGIN …`."""

from datetime import date
from typing import Annotated, Any

import typer

from services.cli.failure import CommandFailed
from services.cli.options import ME, As, Json, Page, Size

app = typer.Typer()
deputy = typer.Typer(no_args_is_help=True)
app.add_typer(deputy, name="deputy", help="Who stands in for whom, and when.")

Of = Annotated[str, typer.Option("--of", metavar="LOGIN", help="Whose; mine without.")]


@deputy.command("add")
def add_deputy(
    stands_in: Annotated[str, typer.Argument(metavar="LOGIN", help="Who stands in.")],
    since: Annotated[str, typer.Option("--from", metavar="DATE", help="The first business day.")],
    until: Annotated[str, typer.Option(metavar="DATE", help="The last business day.")],
    of: Annotated[str, typer.Option("--of", metavar="LOGIN", help="Who is away; I, without.")] = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Name a deputy."""
    from kejing.identity.v1.deputies_service_pb2 import CreateDeputyRequest
    from services.cli.client import connect, new_request_id
    from services.cli.organisation import employee, stub

    first, last = _day("--from", since), _day("--until", until)
    with connect(login) as kejing:
        wanted = CreateDeputyRequest(
            request_id=new_request_id(),
            absent_id=employee(kejing, of).id if of else "",
            deputy_id=employee(kejing, stands_in).id,
            until=last,
            **{"from": first},
        )
        answer = stub(kejing, "Deputies").CreateDeputy(wanted)
        _show(kejing, answer, [answer.deputy], as_json=as_json)


@deputy.command("list")
def list_deputies(of: Of = "", size: Size = 50, page: Page = "", login: As = ME, as_json: Json = False) -> None:
    """List for whom one stands in, and who stands in for one; those that are over too."""
    from kejing.identity.v1.deputies_service_pb2 import ListDeputiesRequest
    from services.cli.client import connect
    from services.cli.organisation import employee, stub

    with connect(login) as kejing:
        employee_id = employee(kejing, of).id if of else ""
        asked = ListDeputiesRequest(employee_id=employee_id, page_size=size, page_token=page)
        answer = stub(kejing, "Deputies").ListDeputies(asked)
        _show(kejing, answer, answer.deputies, as_json=as_json)


@deputy.command("end")
def end_deputy(
    deputyship: Annotated[str, typer.Argument(metavar="ID", help="As `kejing deputy list` names it.")], login: As = ME
) -> None:
    """End a deputyship now."""
    from kejing.identity.v1.deputies_service_pb2 import EndDeputyRequest
    from services.cli.client import new_request_id
    from services.cli.organisation import call

    call(login, "Deputies", "EndDeputy", EndDeputyRequest(request_id=new_request_id(), deputy_id=deputyship))
    print(f"deputyship {deputyship} is over")


def _day(option: str, text: str) -> Any:
    from google.type.date_pb2 import Date

    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise CommandFailed(f"{option} is {text!r}; write a day such as 2026-12-01") from error
    return Date(year=day.year, month=day.month, day=day.day)


def _show(kejing: Any, answer: Any, rows: Any, *, as_json: bool) -> None:
    from services.cli.organisation import employee
    from services.cli.output import print_json, show

    if as_json:
        print_json(answer)
        return
    ids = {id_ for row in rows for id_ in (row.absent_id, row.deputy_id)}
    logins = {id_: employee(kejing, id_).login for id_ in ids}
    columns: dict[str, Any] = {
        "away": lambda row: logins[row.absent_id], "deputy": lambda row: logins[row.deputy_id],
        "from": "from", "until": "until", "id": "id",
    }  # fmt: skip
    show(answer, rows, columns, as_json=False)
