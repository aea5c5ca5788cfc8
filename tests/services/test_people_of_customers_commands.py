"""The commands of contacts, owners, tags, groups and exports, as a person runs them."""

import csv
import uuid
from pathlib import Path

import pytest

from tests.support.customers import bring, colleague
from tests.support.services import RunningServices
from tests.support.terminal import Terminal


@pytest.fixture
async def terminal(services: RunningServices) -> Terminal:
    await services.start("identity", "customers")
    return Terminal(services)


@pytest.fixture
async def mark(services: RunningServices, terminal: Terminal) -> str:
    """What the names of two new customers begin with."""
    mark = f"c{uuid.uuid4().hex[:8]}"
    await bring(services, "ImportCustomers", [{"external_id": f"{mark}-{n}", "name": f"{mark}-{n}"} for n in (1, 2)])
    return mark


async def ids_of(terminal: Terminal, mark: str) -> list[str]:
    return [each["id"] for each in (await terminal.json("customers", "list", "--prefix", mark))["customers"]]


async def test_likely_duplicates_are_listed_merged_and_parted(
    services: RunningServices, terminal: Terminal, mark: str
) -> None:
    row = {"customer_external_id": f"{mark}-1", "external_id": "1", "name": "周伟", "phone": "13800138000", "post": ""}
    again = {**row, "external_id": "2", "name": "Zhou Wei", "phone": "+86 138 0013 8000", "post": "CTO"}
    await bring(services, "ImportContacts", [row, again])
    [customer, _] = await ids_of(terminal, mark)
    assert "周伟" in await terminal.answer("contacts", "list", customer)
    [group] = (await terminal.json("contacts", "duplicates", "--customer", customer))["groups"]
    first, second = (contact["id"] for contact in group["contacts"])
    assert "phone" in await terminal.answer("contacts", "duplicates", "--customer", customer)

    merge = (await terminal.json("contacts", "merge", first, second))["merge"]
    assert merge["into"]["post"] == "CTO"
    assert merge["id"] in await terminal.answer("contacts", "merges", customer)
    assert second in await terminal.answer("contacts", "undo-merge", merge["id"])
    assert await terminal.answer("contacts", "keep-apart", first, second) == "2 contacts are kept apart\n"
    assert await terminal.answer("contacts", "duplicates", "--customer", customer) == "nothing found\n"
    assert "FIELD_NOT_OURS" in await terminal.refusal("contacts", "set", first, "post=CEO")
    assert "FIELD=VALUE" in await terminal.refusal("contacts", "set", first, "post")


async def test_owners_are_changed_by_login_and_stand_in_the_history(
    services: RunningServices, terminal: Terminal, mark: str
) -> None:
    ids, owner = await ids_of(terminal, mark), await colleague(services)
    change = ("owners", "change", *ids, "--role", "csm")
    assert await terminal.answer(*change, "--to", owner.login) == "2 of 2 customers changed\n"
    assert owner.display_name in await terminal.answer("owners", "list", ids[0])
    assert await terminal.answer(*change, "--nobody") == "2 of 2 customers changed\n"
    history = (await terminal.json("owners", "history", ids[0]))["changes"]
    assert [(each.get("before") or {}).get("employeeId", "") for each in history] == [owner.id, ""]
    assert "either --to LOGIN or --nobody" in await terminal.refusal(*change)


async def test_tags_are_described_and_listed(terminal: Terminal, mark: str) -> None:
    first, _ = await ids_of(terminal, mark)
    await terminal.answer("customers", "tag", f"{mark}-tag", first)
    await terminal.answer("customers", "tag", f"{mark}-other", first)
    await terminal.answer("tags", "describe", f"{mark}-tag", "--category", "风险", "--weight", "5")
    assert "风险" in await terminal.answer("tags", "list", "--prefix", f"{mark}-tag")
    assert "风险" in await terminal.answer("tags", "list", "--customer", first)
    assert f"{mark}-other" in await terminal.answer("tags", "related", f"{mark}-tag")


async def test_a_group_is_made_filled_renamed_and_ended(terminal: Terminal, mark: str) -> None:
    ids, group = await ids_of(terminal, mark), f"group {mark}"
    await terminal.answer("groups", "create", group, "--description", "why")
    assert await terminal.answer("groups", "add", group, *ids) == "2 of 2 customers changed\n"
    assert await terminal.answer("groups", "remove", group, ids[0]) == "1 of 1 customers changed\n"
    assert "why" in await terminal.answer("groups", "rename", group, f"{group} 2")
    assert f"{group} 2" in await terminal.answer("groups", "list", "-n", "500")
    assert await terminal.answer("groups", "delete", f"{group} 2") == f"{group} 2 has ended\n"
    assert "there is no group" in await terminal.refusal("groups", "delete", group)


async def test_customers_are_exported_to_the_file_that_is_named(terminal: Terminal, mark: str, tmp_path: Path) -> None:
    file = tmp_path / "customers.csv"
    told = await terminal.answer(
        "customers", "export", str(file), "--prefix", mark, "--fields", "name,number", "--desc"
    )
    assert told.endswith(f"bytes written to {file}\n")
    with file.open(encoding="utf-8-sig", newline="") as written:
        assert [row["name"] for row in csv.DictReader(written)] == [f"{mark}-2", f"{mark}-1"]
    sheet = tmp_path / "customers.xlsx"
    await terminal.answer("customers", "export", str(sheet), "--prefix", mark)
    assert sheet.read_bytes().startswith(b"PK")
    assert "FIELD_UNKNOWN" in await terminal.refusal("customers", "export", str(file), "--fields", "shoe_size")
    assert sorted(tmp_path.iterdir()) == [file, sheet]
    assert "must end in" in await terminal.refusal("customers", "export", str(tmp_path / "customers.txt"))
