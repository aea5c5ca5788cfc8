"""`kejing customers overview` and `kejing customers search`: all of one customer on a page, and how to get there."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any

import typer

from services.cli.customers import customers
from services.cli.options import ME, As, Json

app = typer.Typer()

BARS = "▁▂▃▄▅▆▇█"
LETTERS = {"EXCELLENT": "[green]E[/]", "FAIR": "[yellow]F[/]", "AT_RISK": "[red]R[/]"}
"""A week of health; those without a status are a dot."""
ROWS = 5
"""So many rows of each kind a page shows."""


@customers.command("search")
def search_customers(
    words: Annotated[
        list[str],
        typer.Argument(metavar="TEXT...", help="A part of a name, its pinyin or initials, a number, a contact."),
    ],
    size: Annotated[int, typer.Option("-n", min=1, max=100, help="At most this many.")] = 20,
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Find customers by what one remembers of them, the best match first."""
    from kejing.customers.v1 import customers_service_pb2, customers_service_pb2_grpc
    from services.cli.client import connect
    from services.cli.output import show

    asked = customers_service_pb2.SearchCustomersRequest(text=" ".join(words), limit=size)
    with connect(login) as kejing:
        answer = kejing.stub(customers_service_pb2_grpc.CustomersServiceStub).SearchCustomers(asked)
    columns: dict[str, Any] = {"number": "customer.number", "name": "customer.name", "matches by": "match",
               "contact": lambda hit: hit.contact.name, "health": "customer.health_status",
               "id": "customer.id"}  # fmt: skip
    show(answer, answer.hits, columns, as_json=as_json)


@customers.command("overview")
def show_overview(
    customer: Annotated[str, typer.Argument(metavar="ID")], login: As = ME, as_json: Json = False
) -> None:
    """Show all that matters about a customer on one page."""
    from kejing.customers.v1 import overview_service_pb2, overview_service_pb2_grpc
    from services.cli.client import connect
    from services.cli.output import console, print_json

    with connect(login) as kejing:
        stub = kejing.stub(overview_service_pb2_grpc.OverviewServiceStub)
        answer = stub.GetOverview(overview_service_pb2.GetOverviewRequest(customer_id=customer))
    if as_json:
        print_json(answer)
        return
    page = console()
    for part in page_of(answer):
        page.print(part)


def page_of(answer: Any) -> Iterable[Any]:
    """What rich prints: the customer, its figures, its trends, and the first rows of everything else."""
    from rich.markup import escape

    from kejing.customers.v1.overview_service_pb2 import OverviewPart

    known = answer.customer
    churned = " [red]churned[/]" if known.churned else ""
    yield f"[bold]{escape(known.name)}[/bold]  {known.number}{churned}"
    yield _figures(answer)
    trends = _trends(answer)
    if trends is not None:
        yield trends
    yield from _tables(answer)
    for word, parts in (("not answering now", answer.missing), ("not yours to see", answer.not_permitted)):
        if parts:
            names = (OverviewPart.Name(part).removeprefix("OVERVIEW_PART_").lower() for part in parts)
            yield f"[dim]{word}: {', '.join(names)}[/dim]"


def _figures(answer: Any) -> Any:
    from rich.table import Table

    from services.cli.output import cell

    figures, known = answer.figures, answer.customer
    fields: dict[str, Any] = {
        "contract end": lambda _: cell(known, "last_contract_end"),
        "health": lambda _: cell(known, "health_status"),
        "MRR": lambda _: _sums(figures.mrr),
        "signed this year": lambda _: _sums(figures.amount_this_year),
        "last touch": lambda _: cell(figures, "last_touch_at"),
        "open tasks": lambda _: f"{figures.open_tasks}, {figures.overdue_tasks} overdue",
        "processes": lambda _: figures.running_processes,
        "tags": lambda _: ", ".join(tag.tag for tag in answer.tags),
        "contacts": lambda _: ", ".join(contact.name for contact in answer.contacts),
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    for label, column in fields.items():
        table.add_row(f"[bold]{label}[/bold]", cell(answer, column))
    return table


def _trends(answer: Any) -> Any:
    """Recurring revenue by month, health by week, usage by day, the newest on the right; None where there is none."""
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    currencies = sorted({total.mrr.currency_code for month in answer.mrr for total in month.totals})
    for currency in currencies:
        months = [
            sum((_amount(total.mrr) for total in month.totals if total.mrr.currency_code == currency), Decimal(0))
            for month in answer.mrr
        ]
        table.add_row(f"[bold]MRR {currency}[/bold]", _bars(months), f"{len(months)} months")
    if answer.health_weeks:
        from kejing.health.v1.health_pb2 import HealthStatus

        names = [HealthStatus.Name(week.status).removeprefix("HEALTH_STATUS_") for week in answer.health_weeks]
        strip = "".join(LETTERS.get(name, "·") for name in reversed(names))
        table.add_row("[bold]health[/bold]", strip, f"{len(names)} weeks")
    for trend in answer.usage:
        values = [Decimal(point.value) for point in trend.points]
        said = f"{len(values)} of 30 days, {values[-1]:,} last"
        table.add_row(f"[bold]{trend.metric.replace('_', ' ')}[/bold]", _bars(values), said)
    return table if table.row_count else None


def _tables(answer: Any) -> Iterable[Any]:
    from services.cli.timeline import details_of, what_of

    lists: Mapping[str, tuple[Sequence[Any], dict[str, Any]]] = {
        "tasks": (answer.tasks, {"due": "deadline", "title": "title", "state": "state", "id": "id"}),
        "processes": (
            answer.processes,
            {"process": "definition_name", "stage": "stage_key", "state": "state", "id": "id"},
        ),
        "alerts": (answer.alerts, {"week": "week", "to": "to", "id": "id"}),
        "orders": (
            answer.orders,
            {"number": "number", "product": "product", "from": "term_start", "to": "last_day", "status": "status"},
        ),
        "timeline": (
            answer.timeline,
            {"when": "occurred_at", "kind": "kind", "what": what_of, "details": details_of},
        ),
    }
    for title, (rows, columns) in lists.items():
        if rows:
            yield _table(title, rows, columns)


def _table(title: str, rows: Sequence[Any], columns: Mapping[str, Any]) -> Any:
    from rich.table import Table

    from services.cli.output import cell

    more = f" ({len(rows)})" if len(rows) > ROWS else ""
    table = Table(
        *columns, title=f"{title}{more}", title_justify="left", title_style="bold", box=None, header_style="dim",
        pad_edge=False,
    )  # fmt: skip
    for row in rows[:ROWS]:
        table.add_row(*(cell(row, column) for column in columns.values()))
    return table


def _sums(amounts: Iterable[Any]) -> str:
    return ", ".join(f"{each.currency_code} {_amount(each):,.2f}" for each in amounts)


def _amount(money: Any) -> Decimal:
    return Decimal(money.units) + Decimal(money.nanos) / 10**9


def _bars(values: Sequence[Decimal]) -> str:
    """A bar a value, from nothing to the greatest."""
    most = max(values)
    return "".join(BARS[int((len(BARS) - 1) * value / most) if most else 0] for value in values)
