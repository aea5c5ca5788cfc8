"""How people name departments, permissions and instants in commands."""

from datetime import UTC, datetime
from typing import Any

import pytest

from kejing.identity.v1.employee_pb2 import Department
from services.cli.audit import _instant
from services.cli.failure import CommandFailed
from services.cli.organisation import Departments
from services.cli.roles import _permission, permission_name

TREE = [("1", "Company", ""), ("2", "华东区", "1"), ("3", "A/B", "2"), ("4", "Sales", "1"), ("5", "Sales", "2")]


@pytest.fixture
def departments() -> Departments:
    made: Any = object.__new__(Departments)
    made.by_id = {id_: Department(id=id_, name=name, parent_id=parent) for id_, name, parent in TREE}
    found: Departments = made
    return found


@pytest.mark.parametrize(
    ("named", "id_"),
    [("Company", "1"), ("华东区", "2"), ("Company/华东区", "2"), (" /Company/华东区/A/B/ ", "3"), ("Sales", "4"),
     ("华东区 / Sales", "5"), ("5", "5")],
)  # fmt: skip
def test_a_department_is_named_by_its_path_with_or_without_the_root_or_by_its_id(
    departments: Departments, named: str, id_: str
) -> None:
    assert departments.find(named).id == id_


def test_a_department_that_is_not_there_is_named_back(departments: Departments) -> None:
    with pytest.raises(CommandFailed, match="no department '华南区'"):
        departments.find("华南区")


def test_permissions_are_written_in_either_form() -> None:
    numbers = {_permission(text) for text in ("customers-read", "CUSTOMERS_READ", "PERMISSION_CUSTOMERS_READ")}
    assert [permission_name(number) for number in numbers] == ["customers-read"]


@pytest.mark.parametrize("text", ["signed-in", "unspecified", "fly"])
def test_what_no_role_can_hold_is_refused(text: str) -> None:
    with pytest.raises(CommandFailed, match="there are employees-manage"):
        _permission(text)


def test_a_day_is_a_business_day_and_as_an_end_counts_as_a_whole() -> None:
    begin, end = (_instant("--from", "2026-12-01", whole_day=whole) for whole in (False, True))
    assert begin.ToDatetime(UTC) == datetime(2026, 11, 30, 16, tzinfo=UTC)
    assert end.ToDatetime(UTC) == datetime(2026, 12, 1, 16, tzinfo=UTC)
    with pytest.raises(CommandFailed, match="--from is 'soon'"):
        _instant("--from", "soon", whole_day=False)
