"""Employees out of a CSV file: added where their login is new, changed where they differ, one report a row."""

from typing import Any, NamedTuple

import grpc

from services.cli.client import Connection, new_request_id
from services.cli.failure import CommandFailed, reason_of
from services.cli.organisation import Departments, employees, stub
from services.cli.sheets import BadCell, Cells, RejectedRow, Sheet

OF_THE_ROW = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
}
"""Refusals that are about one row; any other one ends the import."""


class Row(NamedTuple):
    """What became of a row. `outcome`: created, changed, unchanged or rejected; `what`: the fields that changed."""

    line: int
    login: str
    outcome: str
    what: str = ""
    rejected: RejectedRow | None = None


def role_key(text: str) -> str:
    """A role's key as people write it: "service-agent" is SERVICE_AGENT."""
    return text.strip().upper().replace("-", "_").replace(" ", "_")


def take_in(kejing: Connection, sheet: Sheet, *, make_departments: bool) -> list[Row]:
    """Takes the rows in, one by one, and says what became of each.

    Args:
        sheet: with the column login, and perhaps name, department and role.
        make_departments: whether departments that are missing are created.

    Raises:
        grpc.RpcError: a refusal that is not about one row, e.g. that the caller may not do this.
    """
    service, tree = stub(kejing, "Employees"), Departments(kejing)
    known = {each.login: each for each in employees(kejing)}
    report, seen = [], set[str]()
    for row in sheet:
        login = row.cells["login"].lower()
        try:
            if login in seen:
                raise BadCell("login", login, "the file has this login before")
            seen.add(login)
            report.append(_take(service, tree, known.get(login), row, login, make_departments=make_departments))
        except BadCell as bad:
            report.append(_rejected(row, login, bad.column, bad.value, str(bad)))
        except grpc.RpcError as error:
            refusal: Any = error
            if refusal.code() not in OF_THE_ROW:
                raise
            reason = " ".join(filter(None, (refusal.details(), f"({reason_of(refusal)})")))
            report.append(_rejected(row, login, "", "", reason))
    return report


def _take(service: Any, tree: Departments, person: Any, row: Cells, login: str, *, make_departments: bool) -> Row:
    from kejing.identity.v1.employees_service_pb2 import CreateEmployeeRequest, UpdateEmployeeRequest

    if not login:
        raise BadCell("login", "", "it must not be empty")
    name, role = row.cells.get("name", ""), role_key(row.cells.get("role", ""))
    if person is None:
        if not role:
            raise BadCell("role", "", "a new employee needs one")
        department_id = _department(tree, row, make_departments=make_departments)
        wanted = CreateEmployeeRequest(
            request_id=new_request_id(),
            login=login,
            display_name=name or login,
            department_id=department_id,
            role_key=role,
        )
        service.CreateEmployee(wanted)
        return Row(row.line, login, "created")
    if not person.active:
        raise BadCell("login", login, "the employee has left; `kejing employee reactivate` brings him back")
    department_id = _department(tree, row, make_departments=make_departments)
    changes = {
        "name": (name, person.display_name),
        "department": (department_id, person.department_id),
        "role": (role, person.role_key),
    }
    different = {field: new for field, (new, old) in changes.items() if new and new != old}
    if not different:
        return Row(row.line, login, "unchanged")
    service.UpdateEmployee(
        UpdateEmployeeRequest(
            request_id=new_request_id(),
            employee_id=person.id,
            display_name=different.get("name", ""),
            department_id=different.get("department", ""),
            role_key=different.get("role", ""),
        )
    )
    return Row(row.line, login, "changed", ", ".join(different))


def _department(tree: Departments, row: Cells, *, make_departments: bool) -> str:
    """The id of the department that the row names; "" where it names none."""
    named = row.cells.get("department", "")
    if not named:
        return ""
    try:
        found = tree.make(named) if make_departments else tree.find(named)
    except CommandFailed as error:
        raise BadCell("department", named, str(error)) from error
    id_: str = found.id
    return id_


def _rejected(row: Cells, login: str, column: str, value: str, reason: str) -> Row:
    return Row(row.line, login, "rejected", reason, RejectedRow(row.line, column, value, reason))
