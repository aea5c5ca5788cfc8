"""`kejing employee …`: who works here."""

from typing import Annotated, Any

import typer

from services.cli.failure import CommandFailed
from services.cli.options import ME, As, Csv, Json, Page, Rejected, Size

app = typer.Typer()
employee = typer.Typer(no_args_is_help=True)
app.add_typer(employee, name="employee", help="Employees.")

Login = Annotated[str, typer.Argument(metavar="LOGIN", help="The employee's login, or id.")]
Of = Annotated[str, typer.Option("--department", metavar="DEPARTMENT", help="Its path, e.g. East/Shanghai, or its id.")]
Role = Annotated[str, typer.Option(metavar="KEY", help="As `kejing role list` names it, e.g. csm.")]


@employee.command("list")
def list_employees(of: Of = "", size: Size = 50, page: Page = "", login: As = ME, as_json: Json = False) -> None:
    """List employees by login."""
    from kejing.identity.v1.employees_service_pb2 import ListEmployeesRequest
    from services.cli.client import connect
    from services.cli.organisation import Departments, stub
    from services.cli.output import show

    with connect(login) as kejing:
        tree = Departments(kejing)
        department_id = tree.find(of).id if of else ""
        asked = ListEmployeesRequest(page_size=size, page_token=page, department_id=department_id)
        answer = stub(kejing, "Employees").ListEmployees(asked)
    columns: dict[str, Any] = {
        "login": "login", "name": "display_name", "role": "role_key",
        "department": lambda row: tree.path(row.department_id), "": lambda row: "" if row.active else "left",
        "id": "id",
    }  # fmt: skip
    show(answer, answer.employees, columns, as_json=as_json)


@employee.command("show")
def show_employee(named: Login, login: As = ME, as_json: Json = False) -> None:
    """Show one employee."""
    from kejing.identity.v1.employees_service_pb2 import GetEmployeeResponse
    from services.cli.client import connect
    from services.cli.organisation import employee as found

    with connect(login) as kejing:
        _show(kejing, GetEmployeeResponse(employee=found(kejing, named)), as_json=as_json)


@employee.command("add")
def add_employee(
    new_login: Annotated[str, typer.Argument(metavar="LOGIN", help="Lower-case letters, digits and . _ -")],
    name: Annotated[str, typer.Option(help="The name that colleagues read; the login without.")] = "",
    role: Role = "CSM",
    of: Of = "",
    leads: Annotated[bool, typer.Option("--leads", help="Leads that department from now on.")] = False,
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Add an employee. `kejing employee password LOGIN` then gives him a first password."""
    from kejing.identity.v1.employees_service_pb2 import CreateEmployeeRequest
    from services.cli.client import connect, new_request_id
    from services.cli.organisation import Departments, stub

    with connect(login) as kejing:
        wanted = CreateEmployeeRequest(
            request_id=new_request_id(),
            login=new_login,
            display_name=name or new_login,
            department_id=Departments(kejing).find(of).id if of else "",
            role_key=_role_key(role),
            leads_department=leads,
        )
        _show(kejing, stub(kejing, "Employees").CreateEmployee(wanted), as_json=as_json)


@employee.command("change")
def change_employee(
    named: Login,
    name: Annotated[str, typer.Option(help="The name that colleagues read.")] = "",
    role: Role = "",
    of: Of = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Change name, role or department of an employee; what isn't given stays."""
    from kejing.identity.v1.employees_service_pb2 import UpdateEmployeeRequest
    from services.cli.client import connect, new_request_id
    from services.cli.organisation import Departments, stub
    from services.cli.organisation import employee as found

    if not (name or role or of):
        raise CommandFailed("nothing to change: give --name, --role or --department")
    with connect(login) as kejing:
        wanted = UpdateEmployeeRequest(
            request_id=new_request_id(),
            employee_id=found(kejing, named).id,
            display_name=name,
            role_key=_role_key(role),
            department_id=Departments(kejing).find(of).id if of else "",
        )
        _show(kejing, stub(kejing, "Employees").UpdateEmployee(wanted), as_json=as_json)


@employee.command("deactivate")
def deactivate_employee(
    named: Login,
    successor: Annotated[str, typer.Option(metavar="LOGIN", help="Who takes over customers and open tasks.")] = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Close an employee's access. Whoever still owns customers or open tasks needs a successor."""
    from kejing.identity.v1.employees_service_pb2 import DeactivateEmployeeRequest
    from services.cli.client import connect, new_request_id
    from services.cli.organisation import employee as found
    from services.cli.organisation import stub

    with connect(login) as kejing:
        wanted = DeactivateEmployeeRequest(
            request_id=new_request_id(),
            employee_id=found(kejing, named).id,
            successor_id=found(kejing, successor).id if successor else "",
        )
        _show(kejing, stub(kejing, "Employees").DeactivateEmployee(wanted), as_json=as_json)


@employee.command("reactivate")
def reactivate_employee(named: Login, login: As = ME, as_json: Json = False) -> None:
    """Open a deactivated employee's access again; he owns nothing then."""
    from kejing.identity.v1.employees_service_pb2 import ReactivateEmployeeRequest
    from services.cli.client import connect, new_request_id
    from services.cli.organisation import employee as found
    from services.cli.organisation import stub

    with connect(login) as kejing:
        wanted = ReactivateEmployeeRequest(request_id=new_request_id(), employee_id=found(kejing, named).id)
        _show(kejing, stub(kejing, "Employees").ReactivateEmployee(wanted), as_json=as_json)


@employee.command("password")
def reset_password(named: Login, login: As = ME) -> None:
    """Give an employee a new password, print it this once, and end his sessions. He must change it when he signs in."""
    from kejing.identity.v1.employees_service_pb2 import ResetPasswordRequest
    from services.cli.client import connect
    from services.cli.organisation import employee as found
    from services.cli.organisation import stub

    with connect(login) as kejing:
        person = found(kejing, named)
        answer = stub(kejing, "Employees").ResetPassword(ResetPasswordRequest(employee_id=person.id))
    print(
        f"{person.login} signs in with this password, once, and must choose another one then:\n\n  {answer.password}\n"
    )


@employee.command("import")
def import_employees(
    file: Csv,
    make_departments: Annotated[
        bool, typer.Option("--make-departments", help="Create departments that are missing.")
    ] = False,
    rejected: Rejected = None,
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Add and change employees from a CSV file with the columns login, name, department (its path) and role.

    Known logins are changed where they differ; an empty cell leaves what is there. Good rows are taken whatever the
    bad ones hold; importing the file again changes nothing.
    """
    import json

    from services.cli.client import connect
    from services.cli.employee_import import take_in
    from services.cli.output import console
    from services.cli.sheets import Sheet, show_rejected, write_rejected

    sheet = Sheet(file, ("login",), ("name", "department", "role"))
    if rejected:
        write_rejected(rejected, ())
    with connect(login) as kejing:
        report = take_in(kejing, sheet, make_departments=make_departments)
    bad = [row.rejected for row in report if row.rejected]
    if rejected:
        write_rejected(rejected, bad)
    if as_json:
        rows = [{"line": row.line, "login": row.login, "outcome": row.outcome, "what": row.what} for row in report]
        print(json.dumps({"rows": rows}, ensure_ascii=False, indent=2))
        return
    for row in report:
        if row.outcome in ("created", "changed"):
            console().print(f"line {row.line}, {row.login}: {row.outcome} {row.what}".rstrip(), markup=False)
    outcomes = [row.outcome for row in report]
    counts = ", ".join(f"{outcomes.count(word)} {word}" for word in ("created", "changed", "unchanged", "rejected"))
    console().print(f"{len(report)} rows read: {counts}")
    show_rejected(bad, rejected)


def _role_key(text: str) -> str:
    from services.cli.employee_import import role_key

    return role_key(text)


def _show(kejing: Any, answer: Any, *, as_json: bool) -> None:
    """Prints the employee of an answer; colleagues by login, the department by path."""
    from services.cli.organisation import Departments
    from services.cli.organisation import employee as found
    from services.cli.output import print_json, show_one

    if as_json:
        print_json(answer)
        return
    person, path = answer.employee, Departments(kejing).path(answer.employee.department_id)

    def colleague(id_: str) -> str:
        return found(kejing, id_).login if id_ else ""

    fields: dict[str, Any] = {
        "login": "login", "name": "display_name", "role": "role_key", "department": lambda _row: path,
        "reports to": lambda row: colleague(row.manager_id), "active": "active",
        "successor": lambda row: colleague(row.successor_id), "created at": "created_at", "id": "id",
    }  # fmt: skip
    show_one(answer, person, fields, as_json=False)
