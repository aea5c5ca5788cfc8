"""The story that `make up` plays: it is told to its end, once unless asked, and what it told stays."""

import json
import re
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from kejing.common.v1.events_pb2 import Event
from services.cli.demo.data import files
from services.cli.demo.data.customers import customers
from services.cli.demo.data.orders import orders
from tests.support.rows import connection, rows_of
from tests.support.stack import LocalStack, local_stack

LOOKS = {"csm.li": 26, "manager.east": 48, "admin": 120}
"""So many customers each of the three sees who ask for all."""
DATA = Path(__file__).parents[1] / "data"
OF_AN_IMPORT = {"public.imports", "public.import_places", "public.rejected_rows", "public.sources"}
"""What an import leaves behind of itself."""


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with local_stack() as started:
        started.up()
        yield started


def test_the_story_is_told_once_and_again_when_asked(stack: LocalStack) -> None:
    first = stack.kejing("demo", "--if-new")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "122 rows read: 120 created, 2 rejected" in first.stdout
    assert "The end" in first.stdout
    lists = {who: re.search(rf"^ +{who} .* (\d+)  \S.* …", first.stdout, re.MULTILINE) for who in LOOKS}
    assert {who: int(found[1]) for who, found in lists.items() if found} == LOOKS
    assert "all 6 chains are whole" in first.stdout

    skipped = stack.kejing("demo", "--if-new")
    assert (skipped.returncode, skipped.stdout.count("\n")) == (0, 1), skipped.stderr

    again = stack.kejing("demo")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "122 rows read: 120 unchanged, 2 rejected" in again.stdout
    told = [line for line in first.stdout.splitlines() if "alerts; in the inboxes" in line]
    assert told
    assert told == [line for line in again.stdout.splitlines() if "alerts; in the inboxes" in line]

    months = json.loads(stack.kejing("mrr", "--json").stdout)["months"]
    assert len(months) == 12
    assert all(month["totals"] for month in months)
    mine = json.loads(stack.kejing("customers", "list", "--view", "mine", "--as", "csm.li", "--json").stdout)
    assert mine["customers"]


def test_files_that_are_imported_again_leave_every_row_as_it_was(stack: LocalStack, tmp_path: Path) -> None:
    exports = files.write(tmp_path, customers(), orders(customers(), date(2026, 1, 1)))
    accounts = files.Export(DATA / "ravenstack_accounts_excerpt.csv", DATA / "ravenstack_accounts.yaml")
    brought = [("customers", accounts), *exports.items()]
    for kind, export in brought:
        bring(stack, kind, export)
    before, events = quiet_rows(stack), changes_told(stack)
    for kind, export in brought:
        told = bring(stack, kind, export)
        assert int(told["unchanged"]) > 0
        assert (told["created"], told["updated"]) == ("0", "0"), (kind, told)
    assert quiet_rows(stack) == before
    assert changes_told(stack) == events


def bring(stack: LocalStack, kind: str, export: files.Export) -> dict[str, str]:
    """What came of the import of a file."""
    told = stack.answer("import", kind, str(export.file), "--mapping", str(export.mapping), "--json")
    brought: dict[str, str] = told["import"]
    assert brought["state"] == "IMPORT_STATE_DONE"
    return brought


def quiet_rows(stack: LocalStack) -> dict[str, list[str]]:
    """All rows of the customers service but those of imports themselves, when events have stopped changing them."""
    now = all_rows(stack)
    for _ in range(50):
        time.sleep(0.2)
        before, now = now, all_rows(stack)
        if now == before:
            return now
    raise AssertionError("customers does not come to rest")


def all_rows(stack: LocalStack) -> dict[str, list[str]]:
    return rows_of(stack, "customers", lambda table: table.startswith("public.") and table not in OF_AN_IMPORT)


def changes_told(stack: LocalStack) -> int:
    """How many events there are, but for those that say how imports stand."""
    with connection(stack, "customers") as database:
        events = [Event.FromString(row["event"]) for row in database.execute("select event from kit.outbox")]
    return len([event for event in events if event.type != "customers.import.changed"])


def test_orders_are_entered_and_listed_at_the_terminal(stack: LocalStack) -> None:
    customers = stack.answer("customers", "list", "-n", "1", "--as", "sales.zhou", "--json")["customers"]
    ordered = stack.kejing(
        "orders", "create", "HT-E2E-1", "--customer", customers[0]["id"], "--product", "Add-on", "--currency", "EUR",
        "--start", "2026-01-01", "--end", "2026-12-31", "--amount", "1200.60", "--as", "sales.zhou",
    )  # fmt: skip
    assert ordered.returncode == 0, ordered.stderr
    assert "EUR 1,200.60" in ordered.stdout
    table = stack.kejing("mrr", "--year", "2026", "--customer", customers[0]["id"]).stdout
    assert "100.05" in table
    listed = stack.kejing("orders", "list", "--customer", customers[0]["id"], "--json").stdout
    assert "HT-E2E-1" in {order["number"] for order in json.loads(listed)["orders"]}
    wrong = stack.kejing("orders", "create", "HT-E2E-2", "--customer", customers[0]["id"], "--product", "Add-on",
                         "--start", "2026-02-01", "--end", "2026-01-01", "--amount", "1")  # fmt: skip
    assert (wrong.returncode, "field term_end" in wrong.stderr) == (1, True)


def test_a_story_that_cannot_be_told_says_at_which_step(stack: LocalStack) -> None:
    stack.environment["KEJING_REVENUE_ADDRESS"] = "127.0.0.1:1"
    try:
        failed = stack.kejing("demo")
    finally:
        del stack.environment["KEJING_REVENUE_ADDRESS"]
    assert failed.returncode == 1
    assert "UNAVAILABLE" in failed.stderr
    assert "Orders" in failed.stderr
