"""`kejing audit …`: who did what, and whether the record of it is whole."""

import json
from datetime import date, datetime, timedelta
from typing import Annotated, Any

import typer

from services.cli.failure import CommandFailed
from services.cli.options import ME, As, Json, Page, Size

VERIFY_SECONDS = 3600.0
"""A million records take about a minute."""
WIDEST = 160
"""So many characters of a change stand in a table; --json has all."""

app = typer.Typer()
audit = typer.Typer(no_args_is_help=True)
app.add_typer(audit, name="audit", help="Who did what to what, when, from where.")


@audit.command("list")
def list_audit(
    by: Annotated[str, typer.Option(metavar="LOGIN", help="Who did it; a process is machine:NAME.")] = "",
    of: Annotated[str, typer.Option("--of", metavar="ID", help="What it was done to; an employee by login, too.")] = "",
    customer: Annotated[str, typer.Option(metavar="ID", help="Which customer it is about.")] = "",
    method: Annotated[str, typer.Option(metavar="RPC", help="How the rpc's name begins, e.g. kejing.tasks.")] = "",
    request: Annotated[str, typer.Option(metavar="ID", help="The request_id of the call.")] = "",
    service: Annotated[str, typer.Option(metavar="NAME", help="Only what this service did.")] = "",
    since: Annotated[str, typer.Option("--from", metavar="DATE[THH:MM]", help="Not before (business time).")] = "",
    until: Annotated[str, typer.Option(metavar="DATE[THH:MM]", help="Before; a day alone counts as a whole.")] = "",
    size: Size = 50,
    page: Page = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """List what was done in all services, the latest first."""
    from kejing.identity.v1.audit_service_pb2 import ListAuditRequest
    from kejing.operations.v1.audit_pb2 import AuditFilter
    from services.cli.client import connect
    from services.cli.organisation import employee, employees, is_id, stub
    from services.cli.output import print_json, show

    with connect(login) as kejing:
        wanted = AuditFilter(
            actor=by if not by or by.startswith("machine:") else employee(kejing, by).id,
            object_id=of if not of or is_id(of) else _object(kejing, of),
            customer_id=customer,
            method_prefix=method,
            request_id=request,
            service=service,
            until=_instant("--until", until, whole_day=True),
            **{"from": _instant("--from", since, whole_day=False)},
        )
        answer = stub(kejing, "Audit").ListAudit(ListAuditRequest(filter=wanted, page_size=size, page_token=page))
        if as_json:
            print_json(answer)
            return
        logins = {each.id: each.login for each in employees(kejing)}
    show(answer, answer.records, columns(logins), as_json=False)
    _tell_missing(answer.missing)


@audit.command("verify")
def verify_audit(login: As = ME, as_json: Json = False) -> None:
    """Compute the hash chains of all services anew; exit 1 where one is broken or could not be asked.

    The head of a chain, kept elsewhere, proves later that nothing was cut off at its end.
    """
    from kejing.identity.v1.audit_service_pb2 import VerifyAuditRequest
    from services.cli.client import connect
    from services.cli.organisation import stub
    from services.cli.output import show

    with connect(login) as kejing:
        answer = stub(kejing, "Audit").VerifyAudit(VerifyAuditRequest(), timeout=VERIFY_SECONDS)
    shown: dict[str, Any] = {
        "service": "service", "chain": lambda row: "whole" if row.whole else f"BROKEN at block {row.broken_block}",
        "blocks": "blocks", "records": "records", "head": "head",
    }  # fmt: skip
    show(answer, answer.chains, shown, as_json=as_json)
    _tell_missing(answer.missing)
    if answer.missing or not all(chain.whole for chain in answer.chains):
        raise typer.Exit(1)


def columns(logins: dict[str, str]) -> dict[str, Any]:
    """How records are shown. `logins`: by the employee's id."""

    def who(record: Any) -> str:
        actor = logins.get(record.actor, record.actor) or "nobody"
        return f"{actor} for {logins.get(record.acting_for, record.acting_for)}" if record.acting_for else actor

    return {
        "when": "occurred_at",
        "who": who,
        "by": "means",
        "from": "peer",
        "did": lambda record: record.method.removeprefix("kejing.").replace(".v1.", " "),
        "to": lambda record: logins.get(record.object_id, record.object_id),
        "customer": "customer_id",
        "change": _change,
    }


def _change(record: Any) -> str:
    from google.protobuf.json_format import MessageToDict

    found = MessageToDict(record.change) | (MessageToDict(record.personal) if record.HasField("personal") else {})
    text = json.dumps(found, ensure_ascii=False) if found else ""
    text = text if len(text) <= WIDEST else f"{text[:WIDEST]} …"
    return f"{text} (personal values erased)".lstrip() if record.erased else text


def _object(kejing: Any, named: str) -> str:
    from services.cli.organisation import with_login

    person = with_login(kejing, named)
    return person.id if person is not None else named


def _tell_missing(services: Any) -> None:
    if services:
        typer.echo(f"kejing: no answer from {', '.join(services)}: what they know is missing here", err=True)


def _instant(option: str, text: str, *, whole_day: bool) -> Any:
    """The Timestamp of "2026-12-01" or "2026-12-01T14:30" in business time; None of "".

    Args:
        whole_day: a day alone means its end.

    Raises:
        CommandFailed: it has another form.
    """
    from google.protobuf.timestamp_pb2 import Timestamp

    from services.cli.output import business_zone

    if not text:
        return None
    try:
        if len(text) == len("2026-12-01"):
            at = datetime.combine(date.fromisoformat(text) + timedelta(days=whole_day), datetime.min.time())
        else:
            at = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise CommandFailed(f"{option} is {text!r}; write 2026-12-01 or 2026-12-01T14:30") from error
    instant = Timestamp()
    instant.FromDatetime(at if at.tzinfo else at.replace(tzinfo=business_zone()))
    return instant
