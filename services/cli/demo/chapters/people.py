"""Who works here."""

from typing import Any

from kejing.identity.v1 import employee_pb2, identity_service_pb2, identity_service_pb2_grpc
from services.cli.demo.data.team import DEPARTMENTS, TEAM
from services.cli.demo.stage import Stage


def play(stage: Stage) -> None:
    teller = stage.teller
    teller.chapter("People 员工: who works here")
    identity = stage.stub(identity_service_pb2_grpc.IdentityServiceStub)
    teller.step("Departments and employees are entered; everybody reports to who leads the department.")
    departments = {
        each.name: each.id
        for each in _all(identity.ListDepartments, identity_service_pb2.ListDepartmentsRequest(), "departments")
    }
    for wanted in DEPARTMENTS:
        if wanted.name not in departments:
            request = identity_service_pb2.CreateDepartmentRequest(
                request_id=stage.request_id(), name=wanted.name, parent_id=departments.get(wanted.parent, "")
            )
            departments[wanted.name] = identity.CreateDepartment(request).department.id
    stage.employees = {
        each.login: each.id
        for each in _all(identity.ListEmployees, identity_service_pb2.ListEmployeesRequest(), "employees")
    }
    new = [each for each in TEAM if each.login not in stage.employees]
    for each in new:
        asked = identity_service_pb2.CreateEmployeeRequest(
            request_id=stage.request_id(),
            login=each.login,
            display_name=each.name,
            department_id=departments[each.department],
            role=employee_pb2.Role.Value(f"ROLE_{each.role}"),
            leads_department=each.leads,
        )
        stage.employees[each.login] = identity.CreateEmployee(asked).employee.id
    teller.happened(f"{len(TEAM)} employees in {len(DEPARTMENTS)} departments, {len(new)} of them new")
    teller.table(
        ("login", "name", "role", "department"), [(e.login, e.name, e.role.lower(), e.department) for e in TEAM]
    )


def _all(call: Any, request: Any, field: str) -> list[Any]:
    """The field's items on every page of a list."""
    found: list[Any] = []
    request.page_size = 500
    while True:
        answer = call(request)
        found += getattr(answer, field)
        if not answer.next_page_token:
            return found
        request.page_token = answer.next_page_token
