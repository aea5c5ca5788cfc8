"""The commands of customers, as a person runs them."""

import csv
import json
import uuid
from pathlib import Path

import pytest

from tests.support.services import RunningServices
from tests.support.terminal import Terminal

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
async def terminal(services: RunningServices) -> Terminal:
    await services.start("identity", "customers")
    return Terminal(services)


async def test_a_foreign_export_is_imported_and_its_rejected_rows_are_written_down(
    terminal: Terminal, tmp_path: Path
) -> None:
    file, rejected = tmp_path / "accounts.csv", tmp_path / "rejected.csv"
    mark = uuid.uuid4().hex[:6]
    content = (DATA / "ravenstack_accounts_excerpt.csv").read_text("utf-8")
    file.write_text(content.replace("A-0000", f"{mark}-"), "utf-8")
    mapping = str(DATA / "ravenstack_accounts.yaml")

    told = await terminal.answer("import", "customers", str(file), "--mapping", mapping, "--rejected", str(rejected))
    assert told.startswith("12 rows read: 6 created, 0 updated, 0 unchanged, 1 superseded, 5 rejected")
    with rejected.open(encoding="utf-8-sig", newline="") as written:
        rows = list(csv.DictReader(written))
    assert {"line": "9", "column": "signup_date", "value": "2024-02-30"}.items() <= rows[2].items()

    again = json.loads(await terminal.answer("import", "customers", str(file), "--mapping", mapping, "--json"))
    assert (again["result"]["unchanged"], again["result"]["created"]) == ("6", "0")


async def test_nothing_is_imported_where_the_rejected_rows_could_not_be_written_down(
    terminal: Terminal, tmp_path: Path
) -> None:
    key = uuid.uuid4().hex
    file, mapping = tmp_path / "accounts.csv", tmp_path / "accounts.yaml"
    file.write_text(f"external_id,name\n{key},{key}\n")
    mapping.write_text("source: test\ncolumns: {external_id: external_id, name: name}\n")
    code, _, error = await terminal.run("import", "customers", str(file), "--mapping", str(mapping),
                                        "--rejected", str(tmp_path / "missing" / "rejected.csv"))  # fmt: skip
    assert (code, "can't be written" in error) == (1, True)
    listed = json.loads(await terminal.answer("customers", "list", "--prefix", key, "--json"))
    assert listed["customers"] == []


async def test_customers_are_listed_and_shown(terminal: Terminal, tmp_path: Path) -> None:
    mark = f"命令{uuid.uuid4().hex[:6]}"
    file, mapping = tmp_path / "customers.csv", tmp_path / "mapping.yaml"
    file.write_text(f"key,title\n{mark}-1,{mark} 一\n{mark}-2,{mark} 二\n", "utf-8-sig")
    mapping.write_text("source: test\ncolumns: {external_id: key, name: title}\n", "utf-8")
    await terminal.answer("import", "customers", str(file), "--mapping", str(mapping))

    listed = json.loads(await terminal.answer("customers", "list", "--prefix", mark, "--desc", "--json"))
    assert [customer["name"] for customer in listed["customers"]] == [f"{mark} 二", f"{mark} 一"]
    assert f"{mark} 一" in await terminal.answer("customers", "list", "--prefix", mark)
    shown = await terminal.answer("customers", "get", listed["customers"][0]["id"])
    assert f"{mark} 二" in shown
    assert "CUS20" in shown


async def test_a_tag_is_put_on_and_taken_off_and_finds_its_customers(terminal: Terminal, tmp_path: Path) -> None:
    mark = uuid.uuid4().hex[:8]
    file, mapping = tmp_path / "customers.csv", tmp_path / "mapping.yaml"
    file.write_text(f"key\n{mark}-1\n{mark}-2\n")
    mapping.write_text("source: test\ncolumns: {external_id: key, name: key}\n")
    await terminal.answer("import", "customers", str(file), "--mapping", str(mapping))
    first, second = (each["id"] for each in (await terminal.json("customers", "list", "--prefix", mark))["customers"])

    assert await terminal.answer("customer", "tag", f"重点 {mark}", first, second) == "2 of 2 customers changed\n"
    assert await terminal.answer("customer", "untag", f"重点 {mark}", second) == "1 of 1 customers changed\n"
    tagged = (await terminal.json("customers", "list", "--tag", f"重点 {mark}"))["customers"]
    assert [(each["id"], each["tags"]) for each in tagged] == [(first, [f"重点 {mark}"])]
    assert f"重点 {mark}" in await terminal.answer("customers", "get", first)


async def test_a_column_that_the_file_has_not_is_told_in_one_clear_sentence(terminal: Terminal, tmp_path: Path) -> None:
    file, mapping = tmp_path / "customers.csv", tmp_path / "mapping.yaml"
    file.write_text("key,title\n1,X\n")
    mapping.write_text("source: test\ncolumns: {external_id: key, name: titel}\n")
    code, _, error = await terminal.run("import", "customers", str(file), "--mapping", str(mapping))
    assert code == 1
    assert error.startswith("kejing: INVALID_ARGUMENT")
    assert "did you mean 'title'?" in error
    assert "reason COLUMN_MISSING" in error
