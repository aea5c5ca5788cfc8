"""`kejing timeline …`: what happened at a customer; `kejing customers compare …`: how it was at two dates."""

import re
from enum import StrEnum
from typing import Annotated, Any

import typer

from services.cli.customers import customers
from services.cli.options import ME, As, Json, Page, Size

app = typer.Typer()


class Kind(StrEnum):
    CREATED = "created"
    ATTRIBUTES = "attributes"
    OWNER = "owner"
    CONTACT = "contact"
    TAG = "tag"
    GROUP = "group"
    SEGMENT = "segment"
    HEALTH = "health"
    PROCESS = "process"
    TASK = "task"
    FOLLOW_UP = "follow-up"
    CONTRACT = "contract"
    CHURNED = "churned"
    RETURNED = "returned"


ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T")
Day = Annotated[str, typer.Argument(metavar="YYYY-MM-DD", help="A business date.")]


@app.command("timeline")
def list_timeline(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER_ID")],
    kinds: Annotated[list[Kind] | None, typer.Option("--kind", help="Only of this kind; may be repeated.")] = None,
    unfolded: Annotated[bool, typer.Option("--unfolded", help="Show entries of synchronisation one by one.")] = False,
    first: Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD", help="Business date, included.")] = "",
    last: Annotated[str, typer.Option("--to", metavar="YYYY-MM-DD", help="Business date, included.")] = "",
    size: Size = 50,
    page: Page = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """List what happened at a customer, the newest first."""
    from kejing.customers.v1 import timeline_service_pb2 as pb
    from kejing.customers.v1.timeline_service_pb2_grpc import TimelineServiceStub
    from services.cli.client import connect
    from services.cli.output import show

    asked = pb.ListTimelineRequest(
        customer_id=customer,
        page_size=size,
        page_token=page,
        kinds=[pb.TimelineKind.Value(f"TIMELINE_KIND_{kind.name}") for kind in kinds or ()],
        unfolded=unfolded,
        to=_day("--to", last),
        **{"from": _day("--from", first)},
    )
    with connect(login) as kejing:
        answer = kejing.stub(TimelineServiceStub).ListTimeline(asked)
    columns: dict[str, Any] = {"when": "occurred_at", "kind": "kind", "what": what_of, "details": details_of,
               "who": "actor", "about": "object_id"}  # fmt: skip
    show(answer, answer.entries, columns, as_json=as_json)
    if not as_json and answer.next_page_token:
        typer.echo(f"more: --page {answer.next_page_token}")


@customers.command("compare")
def compare_dates(
    customer: Annotated[str, typer.Argument(metavar="ID")],
    first: Day,
    second: Day,
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Show what differs in a customer between the ends of two business dates."""
    from kejing.customers.v1 import timeline_service_pb2 as pb
    from kejing.customers.v1.timeline_service_pb2_grpc import TimelineServiceStub
    from services.cli.client import connect
    from services.cli.output import show

    asked = pb.CompareDatesRequest(
        customer_id=customer, first=_day("the first date", first), second=_day("the second date", second)
    )
    with connect(login) as kejing:
        answer = kejing.stub(TimelineServiceStub).CompareDates(asked)
    show(answer, answer.differences, {"what": "field", first: "before", second: "after"}, as_json=as_json)
    if not as_json and answer.missing:
        typer.echo(f"not answering now: {', '.join(answer.missing)}", err=True)


def what_of(entry: Any) -> str:
    """What was done, and how many times where entries are folded."""
    return f"{entry.what} ×{entry.folded}" if entry.folded > 1 else str(entry.what)


def details_of(entry: Any) -> str:
    """What changed from what to what, else what is known of it; ids of people and things are for programs."""
    if entry.changes:
        return ", ".join(f"{each.field}: {_shown(each.before)} → {_shown(each.after)}" for each in entry.changes)
    facts = {name: value for name, value in sorted(entry.facts.items()) if not ID.fullmatch(value)}
    return ", ".join(f"{name} {_shown(value)}" for name, value in facts.items()) or str(entry.object_id)


def _shown(value: str) -> str:
    """A value as people read it: instants in business time."""
    from datetime import datetime

    from services.cli.output import business_zone

    if INSTANT.match(value):
        return f"{datetime.fromisoformat(value).astimezone(business_zone()):%Y-%m-%d %H:%M:%S}"
    return value or "—"


def _day(option: str, written: str) -> Any:
    from datetime import date

    from google.type.date_pb2 import Date

    from services.cli.failure import CommandFailed

    if not written:
        return None
    try:
        day = date.fromisoformat(written)
    except ValueError:
        raise CommandFailed(f"{option} must be a date as YYYY-MM-DD, not {written!r}") from None
    return Date(year=day.year, month=day.month, day=day.day)
