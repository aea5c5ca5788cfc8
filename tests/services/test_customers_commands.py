"""The commands of customers, as a person runs them."""

import json
import uuid

import pytest

from tests.support.customers import bring
from tests.support.services import RunningServices
from tests.support.terminal import Terminal


@pytest.fixture
async def terminal(services: RunningServices) -> Terminal:
    await services.start("identity", "customers")
    return Terminal(services)


async def test_customers_are_listed_and_shown(services: RunningServices, terminal: Terminal) -> None:
    mark = f"命令{uuid.uuid4().hex[:6]}"
    rows = [{"external_id": f"{mark}-{n}", "name": f"{mark} {word}"} for n, word in ((1, "一"), (2, "二"))]
    await bring(services, "ImportCustomers", rows)

    listed = json.loads(await terminal.answer("customers", "list", "--prefix", mark, "--desc", "--json"))
    assert [customer["name"] for customer in listed["customers"]] == [f"{mark} 二", f"{mark} 一"]
    assert f"{mark} 一" in await terminal.answer("customers", "list", "--prefix", mark)
    shown = await terminal.answer("customers", "get", listed["customers"][0]["id"])
    assert f"{mark} 二" in shown
    assert "CUS20" in shown


async def test_a_tag_is_put_on_and_taken_off_and_finds_its_customers(
    services: RunningServices, terminal: Terminal
) -> None:
    mark = uuid.uuid4().hex[:8]
    await bring(services, "ImportCustomers", [{"external_id": f"{mark}-{n}", "name": f"{mark}-{n}"} for n in (1, 2)])
    first, second = (each["id"] for each in (await terminal.json("customers", "list", "--prefix", mark))["customers"])

    assert await terminal.answer("customer", "tag", f"重点 {mark}", first, second) == "2 of 2 customers changed\n"
    assert await terminal.answer("customer", "untag", f"重点 {mark}", second) == "1 of 1 customers changed\n"
    tagged = (await terminal.json("customers", "list", "--tag", f"重点 {mark}"))["customers"]
    assert [(each["id"], each["tags"]) for each in tagged] == [(first, [f"重点 {mark}"])]
    assert f"重点 {mark}" in await terminal.answer("customers", "get", first)
