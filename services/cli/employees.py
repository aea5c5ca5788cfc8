"""`kejing employee …` and `kejing department …`: who works here."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from services.cli.options import ADMIN, As, Json

app = typer.Typer()
employee = typer.Typer(no_args_is_help=True)
department = typer.Typer(no_args_is_help=True)
app.add_typer(employee, name="employee", help="Employees.")
app.add_typer(department, name="department", help="The department tree.")

Size = Annotated[int, typer.Option("-n", min=1, max=500, help="At most this many.")]
Page = Annotated[str, typer.Option(metavar="TOKEN", help="The next_page_token of the page before.")]


class Role(StrEnum):
    ADMINISTRATOR = "administrator"
    MANAGER = "manager"
    CSM = "csm"
    ANALYST = "analyst"
    SALES = "sales"
    SERVICE_AGENT = "service-agent"
    DATA_ANALYST = "data-analyst"


EMPLOYEE: dict[str, Any] = {"login": "login", "name": "display_name", "role": "role", "active": "active",
                            "department": "department_id", "manager": "manager_id", "id": "id"}  # fmt: skip
DEPARTMENT: dict[str, Any] = {"name": "name", "parent": "parent_id", "leader": "leader_id", "id": "id"}


@employee.command("list")
def list_employees(
    of: Annotated[str, typer.Option("--department", metavar="ID", help="Only those of this department.")] = "",
    size: Size = 50,
    page: Page = "",
    login: As = ADMIN,
    as_json: Json = False,
) -> None:
    """List employees by login."""
    from kejing.identity.v1.identity_service_pb2 import ListEmployeesRequest
    from services.cli.output import show

    asked = ListEmployeesRequest(page_size=size, page_token=page, department_id=of)
    answer = _call(login, "ListEmployees", asked)
    show(answer, answer.employees, EMPLOYEE, as_json=as_json)


@employee.command("add")
def add_employee(
    new_login: Annotated[str, typer.Argument(metavar="LOGIN", help="Lower-case letters, digits and . _ -")],
    name: Annotated[str, typer.Option(help="The name that colleagues read; the login without.")] = "",
    role: Annotated[Role, typer.Option()] = Role.CSM,
    of: Annotated[str, typer.Option("--department", metavar="ID", help="The root of the tree without.")] = "",
    leads: Annotated[bool, typer.Option("--leads", help="Leads that department from now on.")] = False,
    login: As = ADMIN,
    as_json: Json = False,
) -> None:
    """Add an employee, who can sign in at once."""
    from kejing.identity.v1 import employee_pb2
    from kejing.identity.v1.identity_service_pb2 import CreateEmployeeRequest
    from services.cli.client import new_request_id
    from services.cli.output import show_one

    wanted = CreateEmployeeRequest(
        request_id=new_request_id(),
        login=new_login,
        display_name=name or new_login,
        department_id=of,
        role=employee_pb2.Role.Value(f"ROLE_{role.name}"),
        leads_department=leads,
    )
    answer = _call(login, "CreateEmployee", wanted)
    show_one(answer, answer.employee, EMPLOYEE, as_json=as_json)


@department.command("list")
def list_departments(size: Size = 50, page: Page = "", login: As = ADMIN, as_json: Json = False) -> None:
    """List departments by name."""
    from kejing.identity.v1.identity_service_pb2 import ListDepartmentsRequest
    from services.cli.output import show

    answer = _call(login, "ListDepartments", ListDepartmentsRequest(page_size=size, page_token=page))
    show(answer, answer.departments, DEPARTMENT, as_json=as_json)


@department.command("add")
def add_department(
    name: Annotated[str, typer.Argument()],
    parent: Annotated[str, typer.Option(metavar="ID", help="The root of the tree without.")] = "",
    login: As = ADMIN,
    as_json: Json = False,
) -> None:
    """Add a department."""
    from kejing.identity.v1.identity_service_pb2 import CreateDepartmentRequest
    from services.cli.client import new_request_id
    from services.cli.output import show_one

    wanted = CreateDepartmentRequest(request_id=new_request_id(), name=name, parent_id=parent)
    answer = _call(login, "CreateDepartment", wanted)
    show_one(answer, answer.department, DEPARTMENT, as_json=as_json)


def _call(login: str, rpc: str, request: Any) -> Any:
    from kejing.identity.v1.identity_service_pb2_grpc import IdentityServiceStub
    from services.cli.client import connect

    with connect(login) as kejing:
        return getattr(kejing.stub(IdentityServiceStub), rpc)(request)
