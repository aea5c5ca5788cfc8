"""The commands of imports, as a person runs them, while no workflow lets the imports get on."""

import re
import signal
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.support.customers import bring, by_external_id
from tests.support.services import RunningServices
from tests.support.terminal import Terminal


@pytest.fixture
async def terminal(services: RunningServices) -> Terminal:
    await services.start("identity", "customers")
    return Terminal(services)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, ...]:
    """A file of one customer and its mapping, as arguments of `kejing import customers`."""
    key = uuid.uuid4().hex
    file, mapping = tmp_path / f"{key}.csv", tmp_path / "accounts.yaml"
    file.write_text(f"key,title\n{key},Company {key}\n")
    mapping.write_text("source: test\ncolumns: {external_id: key, name: title}\n")
    return (str(file), "--mapping", str(mapping))


async def arrived(terminal: Terminal, files: tuple[str, ...]) -> str:
    """The id of an import that has arrived."""
    told = await terminal.json("import", "customers", *files, "--detach")
    import_id: str = told["import"]["id"]
    return import_id


async def state(terminal: Terminal, *arguments: str) -> Any:
    return (await terminal.json("imports", *arguments))["import"]["state"].removeprefix("IMPORT_STATE_")


async def test_an_import_is_listed_paused_resumed_and_cancelled(terminal: Terminal, files: tuple[str, ...]) -> None:
    import_id = await arrived(terminal, files)
    listed = (await terminal.json("imports", "list", "--running"))["imports"]
    assert import_id in {each["id"] for each in listed}
    assert await state(terminal, "get", import_id) == "RUNNING"
    assert await state(terminal, "pause", import_id) == "PAUSED"
    assert "paused" in await terminal.answer("imports", "get", import_id)
    assert await state(terminal, "resume", import_id) == "RUNNING"
    assert await state(terminal, "cancel", import_id) == "CANCELLED"
    assert "reason IMPORT_STATE" in await terminal.refusal("imports", "resume", import_id)


async def test_who_stops_looking_is_told_that_the_import_goes_on(terminal: Terminal, files: tuple[str, ...]) -> None:
    # By the word "reading" the command says that it looks on.
    code, shown = await terminal.at_keyboard("import", "customers", *files, typed=[("reading", signal.SIGINT)])
    [import_id] = re.findall(r"kejing: import (\S+) goes on without you", shown)
    assert code == 1
    assert await state(terminal, "cancel", import_id) == "CANCELLED"


async def test_a_column_that_the_file_has_not_is_told_in_one_clear_sentence(terminal: Terminal, tmp_path: Path) -> None:
    file, mapping = tmp_path / "customers.csv", tmp_path / "mapping.yaml"
    file.write_text("key,title\n1,X\n")
    mapping.write_text("source: test\ncolumns: {external_id: key, name: titel}\n")
    error = await terminal.refusal("import", "customers", str(file), "--mapping", str(mapping))
    assert error.startswith("kejing: INVALID_ARGUMENT")
    assert "did you mean 'title'?" in error
    assert "reason COLUMN_MISSING" in error


async def test_nothing_is_sent_where_the_rejected_rows_could_not_be_written_down(
    terminal: Terminal, files: tuple[str, ...], tmp_path: Path
) -> None:
    missing = str(tmp_path / "missing" / "rejected.csv")
    assert "can't be written" in await terminal.refusal("import", "customers", *files, "--rejected", missing)
    listed = (await terminal.json("imports", "list"))["imports"]
    assert Path(files[0]).name not in {each["fileName"] for each in listed}


async def test_a_customer_is_linked_to_another_source_and_parted_again(
    services: RunningServices, terminal: Terminal
) -> None:
    key = uuid.uuid4().hex
    await bring(services, "ImportCustomers", [{"external_id": key, "name": key}])
    assert "test" in await terminal.answer("customers", "sources")
    customer = await by_external_id(services, key)
    linked = await terminal.answer("customers", "link", customer.id, "billing", f"B-{key}")
    assert linked == f"{customer.number} is known as test {key}, billing B-{key}\n"
    parted = await terminal.answer("customers", "unlink", customer.id, "billing", f"B-{key}")
    assert parted == f"{customer.number} is known as test {key}\n"
