"""`kejing employee`, `department`, `role` and `deputy`, as an administrator runs them."""

import csv
import json
import uuid
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.support.services import RunningServices
from tests.support.terminal import Terminal


@pytest.fixture
async def terminal(services: RunningServices) -> Terminal:
    await services.start("identity", "customers", "tasks")
    return Terminal(services)


@pytest.fixture
def mark() -> str:
    return uuid.uuid4().hex[:8]


async def test_a_tree_is_made_renamed_led_moved_and_shown(terminal: Terminal, mark: str) -> None:
    await terminal.answer("department", "add", f"East {mark}")
    await terminal.answer("department", "add", "Shanghai", "--under", f"East {mark}")
    await terminal.answer("department", "add", f"West {mark}")
    await terminal.answer("department", "rename", f"East {mark}/Shanghai", "Pudong")
    await terminal.answer("employee", "add", f"lead{mark}", "--role", "manager", "--department", f"East {mark}/Pudong")
    await terminal.answer("department", "lead", f"East {mark}/Pudong", f"lead{mark}")
    await terminal.answer("department", "move", f"East {mark}/Pudong", "--under", f"West {mark}")

    shown = (await terminal.answer("department", "list")).splitlines()
    west = next(number for number, line in enumerate(shown) if f"West {mark}" in line)
    assert f"Pudong · led by lead{mark} · 1 person" in shown[west + 1]
    assert shown[west + 1].index("Pudong") > shown[west].index("West")

    assert "DEPARTMENT_CYCLE" in await terminal.refusal(
        "department", "move", f"West {mark}", "--under", f"West {mark}/Pudong"
    )
    assert "DEPARTMENT_NOT_EMPTY" in await terminal.refusal("department", "delete", f"Company/West {mark}")
    await terminal.answer("department", "delete", f"East {mark}")
    assert f"East {mark}" not in await terminal.answer("department", "list")


async def test_an_employee_is_added_changed_deactivated_and_brought_back(terminal: Terminal, mark: str) -> None:
    department = (await terminal.json("department", "add", f"Team {mark}"))["department"]
    added = await terminal.json(
        "employee", "add", f"e{mark}", "--role", "manager", "--department", f"Team {mark}", "--leads"
    )
    assert (added["employee"]["login"], added["employee"]["roleKey"]) == (f"e{mark}", "MANAGER")
    assert f"e{mark}" in await terminal.answer("employee", "list", "--department", department["id"])
    await terminal.answer("employee", "add", f"s{mark}", "--role", "service-agent", "--department", f"Team {mark}")
    shown = await terminal.answer("employee", "change", f"s{mark}", "--name", "王 芳", "--role", "csm")
    assert "王 芳" in shown
    assert f"Company/Team {mark}" in shown
    assert "CSM" in shown
    assert f"e{mark}" in next(line for line in shown.splitlines() if line.startswith("reports to"))

    left = (await terminal.json("employee", "deactivate", f"s{mark}", "--successor", f"e{mark}"))["employee"]
    assert (left["active"], left["successorId"]) == (False, added["employee"]["id"])
    assert (await terminal.json("employee", "reactivate", f"s{mark}"))["employee"]["active"]
    assert "LOGIN_TAKEN" in await terminal.refusal("employee", "add", f"s{mark}")


async def test_a_file_of_employees_is_taken_in_and_again_changes_nothing(
    terminal: Terminal, mark: str, tmp_path: Path
) -> None:
    file, rejected = tmp_path / "people.csv", tmp_path / "rejected.csv"
    await terminal.answer("department", "add", f"Sales {mark}")
    file.write_text(
        "login,name,department,role\n"
        f"A{mark},陈静,Sales {mark},manager\n"
        f"b{mark},,Company/Sales {mark}/North,service-agent\n"
        f"c{mark},No role,,\n"
        f"d{mark},Wrong role,,emperor\n"
        f"a{mark},Twice,,csm\n",
        "utf-8-sig",
    )
    told = await terminal.answer("employee", "import", str(file), "--rejected", str(rejected))
    assert "5 rows read: 1 created, 0 changed, 0 unchanged, 4 rejected" in told
    with rejected.open(encoding="utf-8-sig", newline="") as written:
        rows = {int(row["line"]): row for row in csv.DictReader(written)}
    assert f"there is no department 'Company/Sales {mark}/North'" in rows[3]["reason"]
    assert (rows[4]["column"], rows[6]["reason"]) == ("role", "the file has this login before")
    assert "ROLE_NOT_FOUND" in rows[5]["reason"]

    assert "1 created" in await terminal.answer("employee", "import", str(file), "--make-departments")
    shown = await terminal.answer("employee", "show", f"b{mark}")
    assert f"Company/Sales {mark}/North" in shown

    file.write_text(f"login,role\na{mark},csm\nb{mark},\n")
    report = json.loads(await terminal.answer("employee", "import", str(file), "--json"))["rows"]
    assert [(row["outcome"], row["what"]) for row in report] == [("changed", "role"), ("unchanged", "")]
    assert "2 unchanged" in await terminal.answer("employee", "import", str(file))


async def test_a_role_is_made_changed_and_removed_when_nobody_has_it(terminal: Terminal, mark: str) -> None:
    key = f"R_{mark.upper()}"
    await terminal.answer("role", "add", key.lower(), "--name", "助理", "--scope", "department",
                          "--permission", "customers-read", "--permission", "TASKS_READ")  # fmt: skip
    assert "助理" in await terminal.answer("role", "list")
    changed = await terminal.json(
        "role", "change", key, "--scope", "own", "--allow", "tasks-write", "--deny", "customers-read"
    )
    assert (changed["scope"], changed["permissions"]) == (
        "SCOPE_OWN",
        ["PERMISSION_TASKS_READ", "PERMISSION_TASKS_WRITE"],
    )
    shown = await terminal.answer("role", "show", key)
    assert "tasks-write" in shown
    assert "customers-read" not in shown
    assert "there are" in await terminal.refusal("role", "change", key, "--allow", "fly")

    await terminal.answer("employee", "add", f"h{mark}", "--role", key)
    assert "ROLE_IN_USE" in await terminal.refusal("role", "delete", key)
    await terminal.answer("employee", "change", f"h{mark}", "--role", "csm")
    await terminal.answer("role", "delete", key)
    assert key not in await terminal.answer("role", "list")


async def test_a_deputy_is_named_by_oneself_and_seen_by_both(terminal: Terminal, mark: str) -> None:
    for login in (f"away{mark}", f"in{mark}"):
        await terminal.answer("employee", "add", login)
    today = date.today()  # noqa: DTZ011 - a day on either side of the business date will do
    await terminal.answer(
        "deputy", "add", f"in{mark}", "--from", str(today - timedelta(1)), "--until", str(today + timedelta(2)),
        "--as", f"away{mark}",
    )  # fmt: skip
    listed = await terminal.answer("deputy", "list", "--as", f"in{mark}")
    assert f"away{mark}" in listed
    [deputyship] = (await terminal.json("deputy", "list", "--of", f"away{mark}"))["deputies"]
    me = await terminal.json("--for", f"away{mark}", "whoami", "--as", f"in{mark}")
    assert [each["login"] for each in me["mayActFor"]] == [f"away{mark}"]
    await terminal.answer("deputy", "end", deputyship["id"], "--as", f"away{mark}")
    assert "write a day" in await terminal.refusal("deputy", "add", f"in{mark}", "--from", "soon", "--until", "later")
