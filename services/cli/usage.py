"""`kejing usage …`: what customers do, day by day."""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Annotated, Any

import typer

from services.cli.failure import CommandFailed
from services.cli.options import ME, As, Csv, Json, Rejected
from services.cli.sheets import REPORTED, BadCell, Cells, RejectedRow, Sheet, show_rejected, to_day, write_rejected

app = typer.Typer()
usage = typer.Typer(no_args_is_help=True)
app.add_typer(usage, name="usage", help="What customers do, day by day.")

BATCH = 1000
IMPORT_SECONDS = 3600.0
"""How long an import may take."""
NEEDED = ("source_id", "customer_external_id", "day")
FIGURES = ("active_users", "active_users_14d", "events", "errors", "seconds", "tickets_opened", "urgent_tickets_open")
LONGEST = 18
"""Digits that surely fit into the contract's numbers; what a figure may be at most, its rules say."""


@usage.command("import")
def import_usage(
    file: Csv,
    source: Annotated[str, typer.Option(metavar="NAME", help="The system that tells the figures.")],
    rejected: Rejected = None,
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Take daily figures in; a row that is sent again changes nothing.

    Columns: source_id (the row's key in its source), customer_external_id, day, and one or more of active_users,
    active_users_14d, events, errors, seconds, tickets_opened, urgent_tickets_open. An empty cell leaves what is known.
    """
    from kejing.health.v1 import metrics_service_pb2_grpc
    from kejing.health.v1.metrics_service_pb2 import IngestUsageRequest, IngestUsageResponse, RejectedUsageRow
    from services.cli.client import connect, persist
    from services.cli.output import console, print_json

    sheet = Sheet(file, NEEDED, FIGURES)
    if not set(FIGURES) & set(sheet.columns):
        raise CommandFailed(f"{file}: its heading lacks figures; there may be {', '.join(FIGURES)}")
    if rejected:
        write_rejected(rejected, ())  # before anything is taken in, so that a wrong path costs nothing

    def attempt() -> tuple[IngestUsageResponse, list[RejectedRow]]:
        bad: list[RejectedRow] = []
        refused = IngestUsageResponse()

        def good() -> Iterator[Any]:
            for row in sheet:
                try:
                    yield _usage_row(row)
                except BadCell as error:
                    refused.rejected += 1
                    if len(bad) < REPORTED:
                        bad.append(RejectedRow(row.line, error.column, error.value, error.reason))
                        refused.rejections.append(
                            RejectedUsageRow(
                                source_id=row.cells["source_id"], field=error.column, description=error.reason
                            )
                        )

        def batches() -> Iterator[IngestUsageRequest]:
            rows = good()
            while batch := list(islice(rows, BATCH)):
                yield IngestUsageRequest(source=source, rows=batch)

        answer: IngestUsageResponse = stub.IngestUsage(batches(), timeout=IMPORT_SECONDS)
        bad += _refused(sheet, answer.rejections)
        answer.rejected += refused.rejected
        answer.rejections.extend(refused.rejections)
        return answer, sorted(bad)

    with connect(login) as kejing:
        stub: Any = kejing.stub(metrics_service_pb2_grpc.MetricsServiceStub)
        answer, shown = persist(attempt)
    if rejected:
        write_rejected(rejected, shown)
    if as_json:
        print_json(answer)
        return
    told = f"{answer.written} written, {answer.unchanged} unchanged, {answer.rejected} rejected"
    console().print(told + (f", {answer.parked} wait for their customer" if answer.parked else ""))
    show_rejected(shown, rejected)


@usage.command("show")
def show_usage(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER_ID")],
    first: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], metavar="DATE", help="34 days before the last one without."),
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], metavar="DATE", help="Today without.")
    ] = None,
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Show a customer's figures, day by day."""
    from google.type.date_pb2 import Date

    from kejing.health.v1 import metrics_service_pb2, metrics_service_pb2_grpc
    from services.cli.client import connect
    from services.cli.output import show

    first_day, last_day = (Date(year=day.year, month=day.month, day=day.day) if day else None for day in (first, last))
    asked = metrics_service_pb2.GetUsageRequest(customer_id=customer, first_day=first_day, last_day=last_day)
    with connect(login) as kejing:
        answer = kejing.stub(metrics_service_pb2_grpc.MetricsServiceStub).GetUsage(asked)
    columns: dict[str, Any] = {figure.replace("_", " "): f"figures.{figure}" for figure in FIGURES}
    show(answer, answer.days, {"day": "day", **columns}, as_json=as_json)


def _usage_row(row: Cells) -> Any:
    """The UsageRow that a line of a file means. Raises BadCell where it breaks a rule of the contract."""
    import protovalidate

    from kejing.health.v1.usage_pb2 import UsageFigures, UsageRow

    figures = {}
    for column in FIGURES:
        if text := row.cells.get(column, ""):
            if not (text.isascii() and text.isdigit() and len(text) <= LONGEST):
                raise BadCell(column, text, "it must be a whole number, not negative")
            figures[column] = int(text)
    usage_row = UsageRow(
        source_id=row.cells["source_id"],
        external_id=row.cells["customer_external_id"],
        day=to_day(row, "day"),
        figures=UsageFigures(**figures),
    )
    if broken := protovalidate.collect_violations(usage_row):
        first: Any = broken[0].proto
        field = first.field.elements[-1].field_name
        column = "customer_external_id" if field == "external_id" else field
        raise BadCell(column, row.cells[column], first.message)
    return usage_row


def _refused(sheet: Sheet, rejections: Any) -> Iterator[RejectedRow]:
    """What the service refused, with the last line that has each key."""
    wanted = {row.source_id for row in rejections}
    rows = {row.cells["source_id"]: row for row in sheet if row.cells["source_id"] in wanted} if wanted else {}
    for refused in rejections:
        row = rows[refused.source_id]
        yield RejectedRow(row.line, refused.field, row.cells.get(refused.field, ""), refused.description)
