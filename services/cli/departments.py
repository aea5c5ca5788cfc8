"""`kejing department …`: the department tree."""

from typing import Annotated, Any

import typer

from services.cli.failure import CommandFailed
from services.cli.options import ME, As, Json

app = typer.Typer()
department = typer.Typer(no_args_is_help=True)
app.add_typer(department, name="department", help="The department tree.")

Named = Annotated[str, typer.Argument(metavar="DEPARTMENT", help="Its path, e.g. East/Shanghai, or its id.")]


@department.command("list")
def list_departments(login: As = ME, as_json: Json = False) -> None:
    """Show the whole tree: each department with who leads it and how many work there."""
    from kejing.identity.v1.departments_service_pb2 import ListDepartmentsResponse
    from services.cli.client import connect
    from services.cli.organisation import Departments, employees
    from services.cli.output import console, print_json

    with connect(login) as kejing:
        tree = Departments(kejing)
        if as_json:
            print_json(ListDepartmentsResponse(departments=tree.by_id.values()))
            return
        everyone = employees(kejing)
    console().print(_tree(tree, everyone))


@department.command("add")
def add_department(
    name: Annotated[str, typer.Argument()],
    under: Annotated[str, typer.Option(metavar="DEPARTMENT", help="Path or id; the top of the tree without.")] = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Add a department."""
    from kejing.identity.v1.departments_service_pb2 import CreateDepartmentRequest
    from services.cli.client import new_request_id

    def ask(service: Any, tree: Any, _kejing: Any) -> Any:
        parent_id = tree.find(under).id if under else ""
        wanted = CreateDepartmentRequest(request_id=new_request_id(), name=name, parent_id=parent_id)
        return service.CreateDepartment(wanted)

    _change(login, ask, as_json=as_json)


@department.command("rename")
def rename_department(
    named: Named, name: Annotated[str, typer.Argument(help="Its new name.")], login: As = ME, as_json: Json = False
) -> None:
    """Give a department another name."""
    from kejing.identity.v1.departments_service_pb2 import UpdateDepartmentRequest
    from services.cli.client import new_request_id

    def ask(service: Any, tree: Any, _kejing: Any) -> Any:
        wanted = UpdateDepartmentRequest(request_id=new_request_id(), department_id=tree.find(named).id, name=name)
        return service.UpdateDepartment(wanted)

    _change(login, ask, as_json=as_json)


@department.command("move")
def move_department(
    named: Named,
    under: Annotated[str, typer.Option(metavar="DEPARTMENT", help="Path or id of the one it shall lie below.")],
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Put a department, with all below it, under another one."""
    from kejing.identity.v1.departments_service_pb2 import MoveDepartmentRequest
    from services.cli.client import new_request_id

    def ask(service: Any, tree: Any, _kejing: Any) -> Any:
        wanted = MoveDepartmentRequest(
            request_id=new_request_id(), department_id=tree.find(named).id, parent_id=tree.find(under).id
        )
        return service.MoveDepartment(wanted)

    _change(login, ask, as_json=as_json)


@department.command("lead")
def lead_department(
    named: Named,
    leader: Annotated[str, typer.Argument(metavar="[LOGIN]", help="Who leads it from now on.")] = "",
    nobody: Annotated[bool, typer.Option("--nobody", help="Nobody leads it from now on.")] = False,
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Say who leads a department."""
    from kejing.identity.v1.departments_service_pb2 import UpdateDepartmentRequest
    from services.cli.client import new_request_id
    from services.cli.organisation import employee

    if bool(leader) == nobody:
        raise CommandFailed("name who leads it, or --nobody")

    def ask(service: Any, tree: Any, kejing: Any) -> Any:
        wanted = UpdateDepartmentRequest(
            request_id=new_request_id(),
            department_id=tree.find(named).id,
            leader_id=employee(kejing, leader).id if leader else "",
            no_leader=nobody,
        )
        return service.UpdateDepartment(wanted)

    _change(login, ask, as_json=as_json)


@department.command("delete")
def delete_department(named: Named, login: As = ME) -> None:
    """Remove an empty department."""
    from kejing.identity.v1.departments_service_pb2 import DeleteDepartmentRequest
    from services.cli.client import connect, new_request_id
    from services.cli.organisation import Departments, stub

    with connect(login) as kejing:
        tree = Departments(kejing)
        found = tree.find(named)
        wanted = DeleteDepartmentRequest(request_id=new_request_id(), department_id=found.id)
        stub(kejing, "Departments").DeleteDepartment(wanted)
    print(f"department {tree.path(found.id)} is gone")


def _change(login: str, ask: Any, *, as_json: bool) -> None:
    """Does what `ask` does with service, tree and connection, and shows the department of its answer."""
    from services.cli.client import connect
    from services.cli.organisation import Departments, stub
    from services.cli.output import show_one

    with connect(login) as kejing:
        tree = Departments(kejing)
        answer = ask(stub(kejing, "Departments"), tree, kejing)
    changed = answer.department
    tree.by_id[changed.id] = changed
    fields: dict[str, Any] = {"department": lambda row: tree.path(row.id), "leader": "leader_id", "id": "id"}
    show_one(answer, changed, fields, as_json=as_json)


def _tree(tree: Any, everyone: list[Any]) -> Any:
    from rich.markup import escape
    from rich.tree import Tree

    logins = {each.id: each.login for each in everyone}

    def label(department: Any) -> str:
        people = sum(1 for each in everyone if each.active and each.department_id == department.id)
        leader = logins.get(department.leader_id, department.leader_id)
        led = f" · led by {escape(leader)}" if leader else ""
        return f"[bold]{escape(department.name)}[/bold]{led} · {people} {'person' if people == 1 else 'people'}"

    def grow(branch: Tree, department: Any) -> Tree:
        for child in tree.children(department.id):
            grow(branch.add(label(child)), child)
        return branch

    return grow(Tree(label(tree.root)), tree.root)
