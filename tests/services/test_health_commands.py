"""`kejing alerts`, `health rules-…` and `usage` against a running health service."""

import asyncio
import csv
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from typer.testing import CliRunner

from services.cli.failure import CommandFailed
from services.cli.main import build
from services.shared.ids import new_id
from tests.support.health import Health, open_health
from tests.support.services import RunningServices

Kejing = Callable[..., Awaitable[Any]]

GOOD = {"active_users_14d": 9, "active_users": 9, "tickets_opened": 0, "urgent_tickets_open": 0}
BAD = {"active_users_14d": 1, "active_users": 0, "tickets_opened": 3, "urgent_tickets_open": 1}

RULES = """
name: 工单优先
at_risk: {any: [tickets_14d >= 900, "active_days_14d = 0"]}
excellent:
  all:
    - tickets_14d ≤ 2
    - not: urgent_open_tickets_7d > 0
minimum_data_share: 0.25
"""


@pytest.fixture(scope="module")
async def health(services: RunningServices) -> Health:
    return await open_health(services)


@pytest.fixture(scope="module")
async def kejing(services: RunningServices, health: Health) -> AsyncIterator[Kejing]:
    """Runs a command and answers what it printed as JSON; with `text=True` as text."""
    # The services of this process would log between the lines that the command prints.
    wrapper = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    environment = {
        "KEJING_TOKEN": await services.sign_in("employee:admin"),
        "KEJING_HEALTH_ADDRESS": services.address("health"),
    }

    async def run(*words: str, text: bool = False) -> Any:
        command = [*words] if text else [*words, "--json"]
        result = await asyncio.to_thread(CliRunner().invoke, build(), command, env=environment)
        if result.exception:
            raise result.exception
        return result.output if text else json.loads(result.output)

    yield run
    structlog.configure(wrapper_class=wrapper)


async def test_rules_are_written_as_a_file_and_put_in_force(health: Health, kejing: Kejing, tmp_path: Path) -> None:
    before = (await kejing("health", "rules"))["ruleSet"]
    file = tmp_path / "rules.yaml"
    file.write_text(RULES, "utf-8")
    made = (await kejing("health", "rules-create", str(file)))["ruleSet"]
    assert (made["name"], made["minimumDataShare"]["value"]) == ("工单优先", "0.25")
    shown = await kejing("health", "rules", made["id"], text=True)
    assert "tickets_14d ≥ 900 or active_days_14d = 0" in shown
    assert "tickets_14d ≤ 2 and not (urgent_open_tickets_7d > 0)" in shown
    assert (await kejing("health", "rules"))["ruleSet"] == before
    try:
        published = (await kejing("health", "rules-publish", made["id"]))["ruleSet"]
        assert (await kejing("health", "rules"))["ruleSet"] == published
    finally:
        await kejing("health", "rules-publish", before["id"])
    listed = (await kejing("health", "rules-list"))["ruleSets"]
    assert listed[0]["id"] == made["id"]


@pytest.mark.parametrize(
    ("level", "named"),
    [
        ("tickets_14d => 5", "at_risk is"),
        ("{all: tickets_14d > 5}", "at_risk must be"),
        ("{any: [tickets_14d > 5, {not: [a < 1]}]}", r"at_risk.any\[1\].not must be"),
        ("{all: [a > 1], any: [a > 1]}", "at_risk must be"),
        ("[", "is no rule set"),
        ("{not: " * 200 + "a < 1" + "}" * 200, "is no rule set"),
    ],
)
async def test_rules_in_another_form_are_refused_naming_the_part(
    kejing: Kejing, tmp_path: Path, level: str, named: str
) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(f"name: x\nat_risk: {level}\nexcellent: tickets_14d < 1\n", "utf-8")
    with pytest.raises(CommandFailed, match=named):
        await kejing("health", "rules-create", str(file))


async def test_a_fall_that_was_subscribed_to_is_listed_until_somebody_took_note(health: Health, kejing: Kejing) -> None:
    subscription = (await kejing("alerts", "subscribe", "--any-fall"))["subscription"]
    other = (await kejing("alerts", "subscribe", "--from", "fair", "--to", "at-risk"))["subscription"]
    assert other["transition"]["to"] == "HEALTH_STATUS_AT_RISK"
    week = health.last
    customer_id = await health.customer(week.previous, GOOD)
    await health.figures(customer_id, week, BAD)
    customer = str(customer_id)
    await health.new_run(week.previous)
    await health.raise_alerts(await health.new_run(week))
    [alert] = (await kejing("alerts", "list", "--customer", customer, "--open"))["alerts"]
    assert alert["to"] == "HEALTH_STATUS_AT_RISK"
    noted = (await kejing("alerts", "acknowledge", alert["id"]))["alert"]
    assert noted["acknowledgedBy"]
    assert (await kejing("alerts", "list", "--customer", customer, "--open"))["alerts"] == []
    assert alert["id"] in await kejing("alerts", "list", "--customer", customer, text=True)
    for each in (subscription, other):
        assert each["id"] in await kejing("alerts", "subscriptions", text=True)
        await kejing("alerts", "unsubscribe", each["id"], text=True)
        assert each["id"] not in await kejing("alerts", "subscriptions", "-n", "500", text=True)
    with pytest.raises(grpc.RpcError, match="any_fall"):
        await kejing("alerts", "subscribe")


async def test_figures_come_from_a_file_and_bad_rows_are_written_down(
    health: Health, kejing: Kejing, tmp_path: Path
) -> None:
    customer = await health.customer(health.last, None)
    day = health.last.sunday
    mark = str(new_id())
    file, rejected = tmp_path / "usage.csv", tmp_path / "rejected.csv"
    file.write_text(
        "source_id,customer_external_id,day,active_users,tickets_opened\n"
        f"{mark}-1,X-{customer},{day},7,\n"
        f"{mark}-2,X-{customer},{day - timedelta(days=1)},0,2\n"
        f"{mark}-3,X-{customer},yesterday,7,\n"
        f"{mark}-4,X-{customer},{day},many,\n"
        f"{mark}-5,X-{customer},2020-01-01,1,\n"
        f",X-{customer},{day},1,\n"
        f"{mark}-7,X-{new_id()},{day},1\n",
        "utf-8-sig",
    )
    told = await kejing("usage", "import", str(file), "--source", "test", "--rejected", str(rejected), text=True)
    assert told.startswith("2 written, 0 unchanged, 4 rejected, 1 wait for their customer")
    with rejected.open(encoding="utf-8-sig", newline="") as written:
        rows = [(row["line"], row["column"], row["value"]) for row in csv.DictReader(written)]
    assert rows == [("4", "day", "yesterday"), ("5", "active_users", "many"), ("6", "day", "2020-01-01"),
                    ("7", "source_id", "")]  # fmt: skip
    again = await kejing("usage", "import", str(file), "--source", "test")
    assert (again["written"], again["unchanged"], again["rejected"], len(again["rejections"])) == ("0", "2", "4", 4)
    asked = ("usage", "show", str(customer), "--from", str(day - timedelta(days=1)), "--to", str(day))
    first, last = (await kejing(*asked))["days"]
    assert first["figures"] == {"activeUsers": "0", "ticketsOpened": "2"}
    assert last["figures"] == {"activeUsers": "7"}
    assert str(day) in await kejing(*asked, text=True)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"source_id,customer_external_id,active_users\na,b,1\n", "lacks day"),
        (b"source_id,customer_external_id,day\na,b,2026-01-01\n", "lacks figures"),
        (b"source_id,customer_external_id,day,active_user\n", "'active_user'"),
        (b"source_id,customer_external_id,day,events,events\n", "twice"),
        (b"source_id,customer_external_id,day,events\na,b,2026-01-01,1,2\n", "line 2"),
        (b'source_id,customer_external_id,day,events\na,"b\n', "line"),
        ("source_id,customer_external_id,day,events\na,客,2026-01-01,1\n".encode("gb18030"), "UTF-8"),
        (b"source_id,customer_external_id,day,events\na,\0,2026-01-01,1\n", "line 2"),
        (b"", "lacks source_id"),
    ],
)
async def test_a_file_that_cannot_be_meant_is_refused_before_anything_is_sent(
    kejing: Kejing, tmp_path: Path, content: bytes, named: str
) -> None:
    file = tmp_path / "usage.csv"
    file.write_bytes(content)
    with pytest.raises(CommandFailed, match=named):
        await kejing("usage", "import", str(file), "--source", "test")
