"""The commands of attributes, of national ids and of personal data, as a person runs them."""

import json
from pathlib import Path

import pytest

from tests.support.attributes import key_of
from tests.support.customers import by_external_id, csv_of, fresh, plain_mapping, upload
from tests.support.services import RunningServices
from tests.support.terminal import Terminal

NATIONAL_ID, MASKED = "11010519491231002X", "110***********002X"


@pytest.fixture
async def terminal(services: RunningServices) -> Terminal:
    await services.start("identity", "customers", "tasks", "revenue")
    return Terminal(services)


async def customer_with(services: RunningServices, key: str) -> str:
    """The id of a customer of a source that leaves the attribute to us."""
    name = fresh("cmd").lower()
    mapping = plain_mapping(["external_id", "name"], ours=[key])
    await upload(services, "ImportCustomers", csv_of([{"external_id": name, "name": name}]), mapping, source=name)
    return (await by_external_id(services, name)).id


async def test_an_attribute_is_defined_changed_and_ended(terminal: Terminal) -> None:
    key = key_of()
    defined = ("--label", "等级", "--purpose", "服务分级", "--type", "option", "--option", "gold", "--option", "tin")
    assert await terminal.answer("attributes", "add", key, *defined) == f"attribute {key} is defined\n"
    assert key in await terminal.answer("attributes", "list")
    assert "服务分级" in await terminal.answer("attributes", "collected")
    changed = await terminal.answer("attributes", "change", key, "--option", "gold")
    assert changed == f"attribute {key} has version 2; 0 customers' values don't fit\n"
    assert await terminal.answer("attributes", "misfits", key) == "nothing found\n"
    assert await terminal.answer("attributes", "retire", key) == f"attribute {key} is ended; 0 customers had a value\n"


async def test_a_national_id_is_set_shown_masked_revealed_and_encrypted_anew(
    services: RunningServices, terminal: Terminal
) -> None:
    key = key_of()
    await terminal.answer("attributes", "add", key, "--label", "ID", "--purpose", "KYC", "--type", "national-id")
    customer = await customer_with(services, key)
    await terminal.answer("customers", "set", customer, f"{key}={NATIONAL_ID}")
    assert MASKED in await terminal.answer("customers", "get", customer)
    assert await terminal.answer("customers", "reveal", customer, key) == f"{NATIONAL_ID}\n"
    assert "none is under an older one" in await terminal.answer("attributes", "rotate-keys")
    assert await terminal.answer("customers", "reveal", customer, key) == f"{NATIONAL_ID}\n"


async def test_personal_data_are_handed_out_as_a_closed_file_and_erased(
    services: RunningServices, terminal: Terminal, tmp_path: Path
) -> None:
    customer, file = await customer_with(services, "region"), tmp_path / "data.json"
    await terminal.answer("customers", "personal-data", customer, "--to", str(file))
    assert set(json.loads(file.read_text())) == {"customers", "tasks", "revenue"}
    assert file.stat().st_mode & 0o777 == 0o600
    erasure = (await terminal.json("customers", "erase", customer, "--ground", "case 9", "--yes"))["erasure"]
    assert "customers" in await terminal.answer("customers", "erasure", erasure["id"])


async def test_erasing_asks_before(services: RunningServices, terminal: Terminal) -> None:
    customer = await customer_with(services, "region")
    code, _, _ = await terminal.run("customers", "erase", customer, "--ground", "case 9", typed="n\n")
    assert code == 1
