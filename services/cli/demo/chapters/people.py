"""Who works here."""

from kejing.identity.v1 import (
    departments_service_pb2,
    departments_service_pb2_grpc,
    employees_service_pb2,
    employees_service_pb2_grpc,
)
from services.cli.demo.data.team import DEPARTMENTS, TEAM
from services.cli.demo.stage import Stage
from services.cli.organisation import pages


def play(stage: Stage) -> None:
    teller = stage.teller
    teller.chapter("People 员工: who works here")
    teller.step("Departments 部门 and employees are entered; everybody reports to who leads the department above him.")
    departments = _departments(stage)
    service = stage.stub(employees_service_pb2_grpc.EmployeesServiceStub)
    every = pages(service.ListEmployees, employees_service_pb2.ListEmployeesRequest(), "employees")
    stage.employees = {each.login: each.id for each in every}
    new = [each for each in TEAM if each.login not in stage.employees]
    for each in new:
        asked = employees_service_pb2.CreateEmployeeRequest(
            request_id=stage.request_id(),
            login=each.login,
            display_name=each.name,
            department_id=departments[each.department],
            role_key=each.role,
            leads_department=each.leads,
        )
        stage.employees[each.login] = service.CreateEmployee(asked).employee.id
    teller.happened(f"{len(TEAM)} employees in {len(DEPARTMENTS)} departments, {len(new)} of them new")
    teller.table(
        ("login", "name", "role", "department"), [(e.login, e.name, e.role.lower(), e.department) for e in TEAM]
    )


def _departments(stage: Stage) -> dict[str, str]:
    """The story's departments, made where they are missing: name → id."""
    service = stage.stub(departments_service_pb2_grpc.DepartmentsServiceStub)
    every = pages(service.ListDepartments, departments_service_pb2.ListDepartmentsRequest(), "departments")
    departments = {each.name: each.id for each in every}
    for wanted in DEPARTMENTS:
        if wanted.name not in departments:
            request = departments_service_pb2.CreateDepartmentRequest(
                request_id=stage.request_id(), name=wanted.name, parent_id=departments.get(wanted.parent, "")
            )
            departments[wanted.name] = service.CreateDepartment(request).department.id
    return departments
