"""A new installation comes into the hands of its administrator, and of a first colleague who sees what is his."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stack import KEJING, LocalStack, local_stack
from tests.support.terminal import at_keyboard

OWN = "Erste-Wahl-2026"
MAPPING = """
source: test
columns: {external_id: key, name: key}
"""
OWNERS = """
source: test
columns: {customer_external_id: key, role: role, login: login}
"""


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with local_stack() as started:
        yield started


def test_the_first_password_is_shown_once_and_opens_nothing_before_it_is_changed(stack: LocalStack) -> None:
    told = stack.up()
    password = re.findall(r"kejing sign-in admin\n +(\S+)\n", told)
    assert len(password) == 1
    assert "password" not in stack.up()
    stack.down()
    assert "password" not in stack.up()
    written = [path for path in (stack.home.path / "logs").iterdir() if password[0] in path.read_text(errors="replace")]
    assert written == []

    code, shown = at_keyboard(
        [str(KEJING), "sign-in", "admin"], stack.environment,
        [("password of admin: ", password[0]), ("new password: ", OWN), ("the same again: ", OWN)],
    )  # fmt: skip
    assert code == 0, shown
    assert not {password[0], OWN} & set(shown.split())
    assert stack.answer("whoami", "--json")["scope"] == "SCOPE_ALL"


def test_a_colleague_signs_in_without_any_key_and_sees_his_own_customers_only(
    stack: LocalStack, tmp_path: Path
) -> None:
    stack.answer("employee", "add", "csm.first", "--json")
    told = stack.kejing("employee", "password", "csm.first").stdout
    for name, content in {
        "customers.csv": "key\nMINE\nNOT-MINE\n", "customers.yaml": MAPPING,
        "owners.csv": "key,role,login\nMINE,CSM,csm.first\nNOT-MINE,CSM,admin\n", "owners.yaml": OWNERS,
    }.items():  # fmt: skip
        (tmp_path / name).write_text(content)
    for kind in ("customers", "owners"):
        taken = stack.answer("import", kind, str(tmp_path / f"{kind}.csv"),
                             "--mapping", str(tmp_path / f"{kind}.yaml"), "--json")  # fmt: skip
        assert (taken["import"]["state"], taken["import"]["rejected"]) == ("IMPORT_STATE_DONE", "0")

    addresses = {f"KEJING_{part.upper()}_ADDRESS": stack.address(part) for part in ("identity", "customers", "tasks")}
    colleague = stack.with_environment(KEJING_HOME=str(tmp_path / "home"), **addresses)
    refused = colleague.kejing("customers", "list")
    assert (refused.returncode, "kejing sign-in LOGIN" in refused.stderr) == (1, True)
    code, shown = at_keyboard(
        [str(KEJING), "sign-in", "csm.first"], colleague.environment,
        [("password of csm.first: ", told.splitlines()[2].strip()), ("new password: ", OWN), ("the same again: ", OWN)],
    )  # fmt: skip
    assert code == 0, shown
    assert [each["name"] for each in colleague.answer("customers", "list", "--json")["customers"]] == ["MINE"]
    assert {each["name"] for each in stack.answer("customers", "list", "--json")["customers"]} == {"MINE", "NOT-MINE"}
    [hidden] = [each["id"] for each in stack.answer("customers", "list", "--json")["customers"]
                if each["name"] == "NOT-MINE"]  # fmt: skip
    for words in (
        ("customers", "get", hidden),
        ("tasks", "create", "Call", "--customer", hidden, "--by", "2099-01-01"),
    ):
        outside = colleague.kejing(*words)
        assert (outside.returncode, "CUSTOMER_NOT_FOUND" in outside.stderr) == (1, True), outside.stderr
    assert "PERMISSION_MISSING" in colleague.kejing("employee", "add", "friend").stderr
    assert colleague.kejing("token", "--as", "admin").returncode == 1

    colleague.kejing("sign-out")
    assert colleague.kejing("customers", "list").returncode == 1
