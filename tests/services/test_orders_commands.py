"""`kejing orders` against a running revenue service."""

import asyncio
import csv
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest
import structlog
from typer.testing import CliRunner

from kejing.revenue.v1 import orders_service_pb2_grpc
from services.cli import client
from services.cli.failure import CommandFailed
from services.cli.main import build
from services.shared.ids import new_id
from tests.support.revenue import known_customer
from tests.support.services import RunningServices

Kejing = Callable[..., Awaitable[Any]]
HEADING = "number,customer_external_id,product,amount,monthly_price,term_start,term_end,renews_number,status\n"


@pytest.fixture(scope="module")
async def customer(services: RunningServices) -> UUID:
    await services.stub(orders_service_pb2_grpc.OrdersServiceStub)
    return await known_customer(services)


@pytest.fixture(scope="module")
async def kejing(services: RunningServices, customer: UUID) -> AsyncIterator[Kejing]:
    """Runs a command and answers what it printed as JSON; with `text=True` as text."""
    # The services of this process would log between the lines that the command prints.
    wrapper = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    environment = {
        "KEJING_TOKEN": await services.sign_in("employee:admin"),
        "KEJING_REVENUE_ADDRESS": services.address("revenue"),
    }

    async def run(*words: str, text: bool = False) -> Any:
        command = [*words] if text else [*words, "--json"]
        result = await asyncio.to_thread(CliRunner().invoke, build(), command, env=environment)
        if result.exception:
            raise result.exception
        return result.stdout if text else json.loads(result.stdout)

    yield run
    structlog.configure(wrapper_class=wrapper)


def create(customer: UUID, number: str) -> tuple[str, ...]:
    return ("orders", "create", number, "--customer", str(customer), "--product", "Standard", "--draft",
            "--start", "2026-01-01", "--end", "2026-12-31", "--amount", "1200")  # fmt: skip


async def test_a_draft_is_confirmed_and_taken_back(customer: UUID, kejing: Kejing) -> None:
    order = (await kejing(*create(customer, f"HT-{new_id()}")))["order"]
    assert (await kejing("orders", "get", order["id"]))["order"] == order
    assert (await kejing("orders", "confirm", order["id"]))["order"]["status"] == "ORDER_STATUS_EFFECTIVE"
    void = (await kejing("orders", "void", order["id"], "--reason", "签错了"))["order"]
    assert (void["status"], void["voidReason"]) == ("ORDER_STATUS_VOID", "签错了")
    assert "签错了" in await kejing("orders", "get", order["id"], text=True)


async def test_orders_come_from_a_file_and_bad_rows_are_shown(customer: UUID, kejing: Kejing, tmp_path: Path) -> None:
    mark, whose = str(new_id()), f"X-{customer}"
    file, rejected = tmp_path / "orders.csv", tmp_path / "rejected.csv"
    file.write_text(
        HEADING + f"{mark}-1,{whose},Standard,1200.60,,2026-01-01,2026-12-31,,\n"
        f'{mark}-2,{whose},Standard,,"1,000",2027-01-01,,{mark}-1,draft\n'
        f"{mark}-3,{whose},Standard,1,1,2026-01-01,2026-12-31,,\n"
        f"{mark}-4,{whose},Standard,1.,,2026-01-01,2026-12-31,,\n"
        f"{mark}-5,{whose},Standard,1,,2026-02-30,2026-12-31,,\n"
        f"{mark}-6,{whose},Standard,1,,2026-01-01,2026-12-31,,signed\n"
        f"{mark}-7,nobody-{mark},Standard,1,,2026-01-01,2026-12-31,,\n"
        f"{mark}-8,{whose},Standard,,,2026-01-01,2026-12-31,,\n",
        "utf-8",
    )
    told = await kejing("orders", "import", str(file), "--rejected", str(rejected), text=True)
    assert told.startswith("2 created, 0 updated, 0 unchanged, 6 rejected\n  line 4, monthly_price '1'")
    with rejected.open(encoding="utf-8-sig", newline="") as written:
        rows = [(row["line"], row["column"]) for row in csv.DictReader(written)]
    assert rows == [("4", "monthly_price"), ("5", "amount"), ("6", "term_start"), ("7", "status"),
                    ("8", "customer_external_id"), ("9", "amount")]  # fmt: skip
    again = await kejing("orders", "import", str(file))
    assert (again["created"], again["unchanged"], again["rejected"]) == ("0", "2", "6")
    listed = {each["number"]: each for each in (await kejing("orders", "list", "--customer", str(customer)))["orders"]}
    renewal = listed[f"{mark}-2"]
    assert (renewal["renewsOrderId"], renewal["status"]) == (listed[f"{mark}-1"]["id"], "ORDER_STATUS_DRAFT")
    assert (renewal["monthlyPrice"]["units"], renewal["countsToMrr"]) == ("1000", True)


async def test_a_file_without_a_price_is_refused(kejing: Kejing, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("number,customer_external_id,product,term_start\n1,2,3,2026-01-01\n")
    with pytest.raises(CommandFailed, match="lacks amount or monthly_price"):
        await kejing("orders", "import", str(file))


class _Away(grpc.RpcError):
    """The answer got lost on its way."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return "socket closed"


async def test_a_write_whose_answer_was_lost_is_sent_again_and_takes_effect_once(
    customer: UUID, kejing: Kejing, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    call = client._Signed._call

    def losing(self: Any, continuation: Any, details: Any, request: Any) -> Any:
        outcome = call(self, continuation, details, request)
        sent.append(request.request_id)
        if len(sent) == 1:
            outcome.result()
            raise _Away
        return outcome

    monkeypatch.setattr(client._Signed, "_call", losing)
    number = f"HT-{new_id()}"
    order = (await kejing(*create(customer, number)))["order"]
    assert (order["number"], len(sent), len(set(sent))) == (number, 2, 1)


async def test_an_import_whose_answer_was_lost_is_sent_again_and_takes_effect_once(
    customer: UUID, kejing: Kejing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "orders.csv"
    number = f"HT-{new_id()}"
    file.write_text(HEADING + f"{number},X-{customer},Standard,12,,2026-01-01,2026-12-31,,\n")
    calls: list[Any] = []
    call = client._Signed.intercept_stream_unary

    def losing(self: Any, continuation: Any, details: Any, requests: Any) -> Any:
        calls.append(call(self, continuation, details, requests))
        calls[-1].result()
        if len(calls) == 1:
            raise _Away
        return calls[-1]

    monkeypatch.setattr(client._Signed, "intercept_stream_unary", losing)
    answer = await kejing("orders", "import", str(file))
    assert (len(calls), answer["created"], answer["unchanged"], answer["rejected"]) == (2, "0", "1", "0")


async def test_a_write_that_stays_without_an_answer_is_given_up(
    customer: UUID, kejing: Kejing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> Any:
        raise _Away

    monkeypatch.setattr(client, "AGAIN_SECONDS", 0.6)
    monkeypatch.setattr(client._Signed, "_call", away)
    with pytest.raises(_Away):
        await kejing(*create(customer, "x"))
