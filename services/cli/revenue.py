"""`kejing orders …` and `kejing mrr`: contract orders, and what recurs."""

import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from typing import Annotated, Any

import typer

from services.cli.failure import CommandFailed
from services.cli.options import ME, As, Csv, Json, Rejected
from services.cli.sheets import REPORTED, BadCell, Cells, RejectedRow, Sheet, show_rejected, to_day, write_rejected

app = typer.Typer()
orders = typer.Typer(no_args_is_help=True)
app.add_typer(orders, name="orders", help="Contract orders.")

AMOUNT = re.compile(r"-?[0-9][0-9,]{0,17}(\.[0-9]{1,9})?", re.ASCII)

BATCH = 500
IMPORT_SECONDS = 3600.0
"""How long an import may take."""
NEEDED = ("number", "customer_external_id", "product", "term_start")
OTHERS = ("amount", "monthly_price", "currency", "signed_date", "term_end", "counts_to_mrr", "renews_number", "status")

Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="DATE")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The order.")]


@orders.command("list")
def list_orders(
    customer: Annotated[str, typer.Option(metavar="ID", help="Only those of this customer.")] = "",
    ends_from: Day = None,
    ends_to: Day = None,
    size: Annotated[int, typer.Option("-n", min=1, max=500, help="At most this many.")] = 50,
    page: Annotated[str, typer.Option(metavar="TOKEN", help="The next_page_token of the page before.")] = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """List orders, those whose term started last first."""
    from kejing.revenue.v1 import orders_service_pb2, orders_service_pb2_grpc
    from services.cli.client import connect
    from services.cli.output import show

    asked = orders_service_pb2.ListOrdersRequest(
        page_size=size, page_token=page, customer_id=customer, ends_from=_day(ends_from), ends_to=_day(ends_to)
    )
    with connect(login) as kejing:
        answer = kejing.stub(orders_service_pb2_grpc.OrdersServiceStub).ListOrders(asked)
    columns: dict[str, Any] = {"number": "number", "customer": "customer_id", "product": "product", "price": _price,
               "from": "term_start", "to": "term_end", "status": "status", "id": "id"}  # fmt: skip
    show(answer, answer.orders, columns, as_json=as_json)


@orders.command("create")
def create_order(
    number: Annotated[str, typer.Argument(help="The number on the contract.")],
    customer: Annotated[str, typer.Option(metavar="ID")],
    product: Annotated[str, typer.Option()],
    start: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="First day of the term.")],
    end: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="Last day; open-ended without.")
    ] = None,
    amount: Annotated[str, typer.Option(help="Price of the whole term, net of tax.")] = "",
    monthly: Annotated[str, typer.Option(help="Price of a month, net of tax.")] = "",
    currency: Annotated[str, typer.Option()] = "CNY",
    signed: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="First day of the term without.")
    ] = None,
    renews: Annotated[str, typer.Option(metavar="ID", help="The order that this one renews.")] = "",
    counts_to_mrr: Annotated[bool, typer.Option("--mrr/--one-time", help="Whether it recurs.")] = True,
    draft: Annotated[bool, typer.Option("--draft", help="Not signed yet.")] = False,
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Enter an order."""
    from kejing.revenue.v1 import order_pb2, orders_service_pb2
    from services.cli.client import new_request_id

    if bool(amount) == bool(monthly):
        raise CommandFailed("give --amount for the whole term, or --monthly for each month")
    wanted = orders_service_pb2.CreateOrderRequest(
        request_id=new_request_id(),
        number=number,
        customer_id=customer,
        product=product,
        amount=_money(amount, currency),
        monthly_price=_money(monthly, currency),
        signed_date=_day(signed or start),
        term_start=_day(start),
        term_end=_day(end),
        counts_to_mrr=counts_to_mrr,
        renews_order_id=renews,
        status=order_pb2.ORDER_STATUS_DRAFT if draft else order_pb2.ORDER_STATUS_EFFECTIVE,
    )
    _show_order(_orders(login, "CreateOrder", wanted), as_json=as_json)


@orders.command("get")
def get_order(order: Id, login: As = ME, as_json: Json = False) -> None:
    """Show one order."""
    from kejing.revenue.v1.orders_service_pb2 import GetOrderRequest

    _show_order(_orders(login, "GetOrder", GetOrderRequest(order_id=order)), as_json=as_json)


@orders.command("confirm")
def confirm_order(order: Id, login: As = ME, as_json: Json = False) -> None:
    """Make a draft effective."""
    from kejing.revenue.v1.orders_service_pb2 import ConfirmOrderRequest
    from services.cli.client import new_request_id

    asked = ConfirmOrderRequest(request_id=new_request_id(), order_id=order)
    _show_order(_orders(login, "ConfirmOrder", asked), as_json=as_json)


@orders.command("void")
def void_order(
    order: Id, reason: Annotated[str, typer.Option(help="Why.")], login: As = ME, as_json: Json = False
) -> None:
    """Take an order back, for good."""
    from kejing.revenue.v1.orders_service_pb2 import VoidOrderRequest
    from services.cli.client import new_request_id

    asked = VoidOrderRequest(request_id=new_request_id(), order_id=order, reason=reason)
    _show_order(_orders(login, "VoidOrder", asked), as_json=as_json)


@orders.command("import")
def import_orders(file: Csv, rejected: Rejected = None, login: As = ME, as_json: Json = False) -> None:
    """Take orders in: new numbers are entered, known ones brought to the row's values.

    Columns: number, customer_external_id, product, term_start, amount or monthly_price; if wanted currency (CNY),
    signed_date, term_end, counts_to_mrr (true or false; true), renews_number, status (draft, effective or void;
    effective).
    """
    from kejing.revenue.v1 import orders_service_pb2_grpc
    from kejing.revenue.v1.orders_service_pb2 import ImportOrdersRequest, ImportOrdersResponse, RejectedOrderRow
    from services.cli.client import connect, new_request_id, persist
    from services.cli.output import console, print_json

    sheet, import_id = Sheet(file, NEEDED, OTHERS), new_request_id()
    if not {"amount", "monthly_price"} & set(sheet.columns):
        raise CommandFailed(f"{file}: its heading lacks amount or monthly_price")
    if rejected:
        write_rejected(rejected, ())  # before anything is taken in, so that a wrong path costs nothing

    def attempt() -> ImportOrdersResponse:
        bad = ImportOrdersResponse()

        def good() -> Iterator[Any]:
            for row in sheet:
                try:
                    yield _order_row(row)
                except BadCell as error:
                    bad.rejected += 1
                    if len(bad.rejections) < REPORTED:
                        bad.rejections.append(
                            RejectedOrderRow(line=row.line, number=row.cells["number"], field=error.column,
                                             value=error.value, reason="INVALID_FIELD", message=error.reason)
                        )  # fmt: skip

        def batches() -> Iterator[ImportOrdersRequest]:
            rows, number = good(), 0
            while batch := list(islice(rows, BATCH)):
                number += 1
                yield ImportOrdersRequest(request_id=f"{import_id}-{number}", rows=batch)

        answer: ImportOrdersResponse = stub.ImportOrders(batches(), timeout=IMPORT_SECONDS)
        answer.rejected += bad.rejected
        answer.rejections.extend(bad.rejections)
        return answer

    with connect(login) as kejing:
        stub: Any = kejing.stub(orders_service_pb2_grpc.OrdersServiceStub)
        answer = persist(attempt)
    shown = sorted(RejectedRow(row.line, row.field, row.value, row.message) for row in answer.rejections)
    if rejected:
        write_rejected(rejected, shown)
    if as_json:
        print_json(answer)
        return
    counts = ", ".join(f"{getattr(answer, word)} {word}" for word in ("created", "updated", "unchanged", "rejected"))
    console().print(counts)
    show_rejected(shown, rejected)


@app.command()
def mrr(
    year: Annotated[int | None, typer.Option(min=1900, max=2099, help="This year without.")] = None,
    customer: Annotated[str, typer.Option(metavar="ID", help="Only of this customer.")] = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Show the monthly recurring revenue of a year, as each month's last day finds it."""
    from kejing.revenue.v1 import revenue_service_pb2, revenue_service_pb2_grpc
    from services.cli.client import connect
    from services.cli.output import console, print_json

    year = year or date.today().year  # noqa: DTZ011 - only a default
    asked = revenue_service_pb2.ListMrrRequest(from_month=f"{year}-01", to_month=f"{year}-12", customer_id=customer)
    with connect(login) as kejing:
        answer = kejing.stub(revenue_service_pb2_grpc.RevenueServiceStub).ListMrr(asked)
    if as_json:
        print_json(answer)
    else:
        console().print(mrr_table(answer.months))


def mrr_table(months: Any) -> Any:
    """A row a month, a column a currency.

    Args:
        months: kejing.revenue.v1.MonthMrr messages.
    """
    from rich.table import Table

    currencies = sorted({total.mrr.currency_code for month in months for total in month.totals})
    table = Table("month", box=None, header_style="bold", pad_edge=False)
    for heading in (*(f"MRR {currency}" for currency in currencies), "orders"):
        table.add_column(heading, justify="right")
    for month in months:
        totals = {total.mrr.currency_code: total for total in month.totals}
        shown = [f"{amount_of(totals[c].mrr):,.2f}" if c in totals else "—" for c in currencies]
        table.add_row(month.month, *shown, str(sum(total.orders for total in month.totals)))
    return table


def _order_row(row: Cells) -> Any:
    """The OrderRow that a line of a file means. Raises BadCell."""
    from kejing.revenue.v1.order_pb2 import OrderStatus
    from kejing.revenue.v1.orders_service_pb2 import OrderRow

    cells = row.cells
    if cells.get("amount") and cells.get("monthly_price"):
        raise BadCell("monthly_price", cells["monthly_price"], "there may be an amount or a monthly price, not both")
    prices = {}
    for column in ("amount", "monthly_price"):
        try:
            prices[column] = _money(cells.get(column, ""), cells.get("currency") or "CNY")
        except CommandFailed as error:
            raise BadCell(column, cells[column], str(error)) from error
    status = cells.get("status", "").upper() or "EFFECTIVE"
    if status not in ("DRAFT", "EFFECTIVE", "VOID"):
        raise BadCell("status", cells["status"], "it must be draft, effective or void")
    counts = cells.get("counts_to_mrr", "").lower() or "true"
    if counts not in ("true", "false"):
        raise BadCell("counts_to_mrr", cells["counts_to_mrr"], "it must be true or false")
    return OrderRow(
        line=row.line,
        number=cells["number"],
        customer_external_id=cells["customer_external_id"],
        product=cells["product"],
        **prices,
        signed_date=to_day(row, "signed_date"),
        term_start=to_day(row, "term_start"),
        term_end=to_day(row, "term_end"),
        counts_to_mrr=counts == "true",
        renews_number=cells.get("renews_number", ""),
        status=OrderStatus.Value(f"ORDER_STATUS_{status}"),
    )


def _orders(login: str, method: str, request: Any) -> Any:
    from kejing.revenue.v1.orders_service_pb2_grpc import OrdersServiceStub
    from services.cli.client import connect

    with connect(login) as kejing:
        return getattr(kejing.stub(OrdersServiceStub), method)(request)


def _show_order(answer: Any, *, as_json: bool) -> None:
    from services.cli.output import show_one

    fields: dict[str, Any] = {"id": "id", "number": "number", "customer": "customer_id", "product": "product",
              "price": _price, "signed": "signed_date", "from": "term_start", "to": "term_end",
              "counts until": "last_day", "recurs": "counts_to_mrr", "renews": "renews_order_id", "status": "status",
              "void because": "void_reason"}  # fmt: skip
    show_one(answer, answer.order, fields, as_json=as_json)


def _price(order: Any) -> str:
    priced = order.WhichOneof("price")
    money = getattr(order, priced)
    return f"{money.currency_code} {amount_of(money):,.2f}" + (" a month" if priced == "monthly_price" else "")


def amount_of(money: Any) -> Decimal:
    """The amount of a google.type.Money."""
    return money.units + Decimal(money.nanos) / 10**9


def _money(text: str, currency: str) -> Any:
    from google.type.money_pb2 import Money

    if not text:
        return None
    if not AMOUNT.fullmatch(text):
        raise CommandFailed(f"{text!r} is no amount; write it like 12000 or 12000.50")
    amount = Decimal(text.replace(",", ""))
    units = int(amount)
    return Money(currency_code=currency, units=units, nanos=int((amount - units) * 10**9))


def _day(value: date | None) -> Any:
    from google.type.date_pb2 import Date

    return Date(year=value.year, month=value.month, day=value.day) if value else None
