"""The commands of segments, as a person runs them."""

from pathlib import Path

import pytest

from kejing.common.v1 import condition_pb2
from services.cli.conditions import condition_of, condition_text
from services.cli.failure import CommandFailed
from tests.support.customers import bring, fresh
from tests.support.services import RunningServices
from tests.support.terminal import Terminal


@pytest.fixture
async def terminal(services: RunningServices) -> Terminal:
    await services.start("identity", "customers")
    return Terminal(services)


async def test_a_segment_is_previewed_defined_explained_and_ended(
    services: RunningServices, terminal: Terminal, tmp_path: Path
) -> None:
    region = fresh("华东")
    rows = [{"external_id": f"{region}-{n}", "name": f"{region}-{n}", "region": region, "seats": n} for n in (5, 50)]
    await bring(services, "ImportCustomers", rows)
    large = ("--if", f"region = {region}", "--if", "seats >= 50")
    assert await terminal.answer("segments", "preview", *large) == "1 customers\n"
    name = fresh("Large")
    made = (await terminal.json("segments", "create", name, *large))["segment"]
    assert made["ready"]
    [member] = (await terminal.json("customers", "list", "--segment", made["id"]))["customers"]
    assert member["name"] == f"{region}-50"
    assert name in await terminal.answer("segments", "list", "-n", "500")
    explained = await terminal.answer("segments", "explain", made["id"], member["id"])
    assert explained.startswith("in the segment: yes\n")
    assert "seats ≥ 50" in explained

    file = tmp_path / "condition.yaml"
    file.write_text(f"all:\n  - region = {region}\n  - not: seats one of 50, 51\n", encoding="utf-8")
    changed = await terminal.answer("segments", "update", made["id"], "--file", str(file))
    assert "not (seats one of 50, 51)" in changed
    [member] = (await terminal.json("customers", "list", "--segment", made["id"]))["customers"]
    assert member["name"] == f"{region}-5"
    await terminal.answer("segments", "delete", made["id"])
    assert name not in await terminal.answer("segments", "list", "-n", "500")
    assert "days_since_touch" in await terminal.answer("segments", "fields")


async def test_lists_are_narrowed_by_every_option(services: RunningServices, terminal: Terminal) -> None:
    mark = fresh("Opt")
    await bring(services, "ImportCustomers", [{"external_id": f"{mark}{n}", "name": f"{mark}{n}"} for n in (1, 2, 3)])
    ids = [each["id"] for each in (await terminal.json("customers", "list", "--prefix", mark))["customers"]]
    await terminal.answer("customers", "tag", f"a {mark}", *ids)
    await terminal.answer("customers", "tag", f"b {mark}", *ids[:2])
    await terminal.answer("customers", "tag", f"c {mark}", ids[0])
    asked = ("customers", "list", "--tag", f"a {mark}", "--tag", f"b {mark}", "--without-tag", f"c {mark}")
    assert [each["id"] for each in (await terminal.json(*asked))["customers"]] == [ids[1]]
    assert (await terminal.json(*asked, "--health", "at-risk"))["customers"] == []
    computed = await terminal.json(*asked, "--health", "not-computed", "--sort", "number")
    assert len(computed["customers"]) == 1


@pytest.mark.parametrize(
    ("written", "operator", "value", "values"),
    [
        ("seats >= 5", "GREATER_OR_EQUAL", "5", []),
        ("region = 华东 一区", "EQUAL", "华东 一区", []),
        ("attribute.level one of A, B", "ONE_OF", "", ["A", "B"]),
        ("name starts with A B", "STARTS_WITH", "A B", []),
        ("tags contains vip", "CONTAINS", "vip", []),
        ("last_contract_end <= today+90", "LESS_OR_EQUAL", "today+90", []),
        ("industry is known", "KNOWN", "", []),
        ("mrr.CNY known", "KNOWN", "", []),
    ],
)
def test_a_comparison_is_read_as_it_is_written(written: str, operator: str, value: str, values: list[str]) -> None:
    found = condition_of(written, "--if").comparison
    assert condition_pb2.Operator.Name(found.operator) == f"OPERATOR_{operator}"
    assert (found.value, list(found.values)) == (value, values)
    assert condition_of(condition_text(condition_of(written, "--if")), "--if").comparison == found


@pytest.mark.parametrize(
    "written",
    ["region East", "seats => 5", "seats > = 5", "seats <> 5", "seats =! 5", "name =~ A", "seats >", "seats ="],
)
def test_what_is_no_comparison_is_refused(written: str) -> None:
    with pytest.raises(CommandFailed, match=r"--if is .* write a comparison such as"):
        condition_of(written, "--if")


@pytest.mark.parametrize("written", ["region = East and seats > 5", "name starts with A or tags contains vip"])
def test_two_comparisons_in_one_are_refused(written: str) -> None:
    with pytest.raises(CommandFailed, match="write one comparison here"):
        condition_of(written, "--if")
