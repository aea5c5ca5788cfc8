"""Employees by login, departments by path: how people name them in commands."""

import uuid
from collections.abc import Iterator
from typing import Any

from services.cli.client import Connection
from services.cli.failure import CommandFailed

PAGE = 500


def call(login: str, service: str, rpc: str, request: Any) -> Any:
    """The answer of one of identity's rpcs.

    Args:
        login: who calls, as services.cli.tokens.access_token takes it.
        service: the contract's name without "Service", e.g. "Employees".
    """
    from services.cli.client import connect

    with connect(login) as kejing:
        return getattr(stub(kejing, service), rpc)(request)


def stub(kejing: Connection, service: str) -> Any:
    """A stub of one of identity's services, e.g. "Employees"."""
    import importlib

    module = importlib.import_module(f"kejing.identity.v1.{service.lower()}_service_pb2_grpc")
    return kejing.stub(getattr(module, f"{service}ServiceStub"))


def pages(ask: Any, request: Any, field: str) -> Iterator[Any]:
    """The items of `field` on every page of a list."""
    request.page_size = PAGE
    while True:
        answer = ask(request)
        yield from getattr(answer, field)
        if not answer.next_page_token:
            return
        request.page_token = answer.next_page_token


def employees(kejing: Connection) -> list[Any]:
    """All employees, by login."""
    from kejing.identity.v1.employees_service_pb2 import ListEmployeesRequest

    return list(pages(stub(kejing, "Employees").ListEmployees, ListEmployeesRequest(), "employees"))


def employee(kejing: Connection, named: str) -> Any:
    """The employee with a login or id. Raises CommandFailed where there is none."""
    from kejing.identity.v1.employees_service_pb2 import GetEmployeeRequest

    service = stub(kejing, "Employees")
    if is_id(named):
        return service.GetEmployee(GetEmployeeRequest(employee_id=named)).employee
    if found := with_login(kejing, named):
        return found
    raise CommandFailed(f"there is no employee {named!r}; `kejing employee list` names them")


def with_login(kejing: Connection, login: str) -> Any:
    """The employee with a login, upper and lower case alike; None where there is none."""
    from kejing.identity.v1.employees_service_pb2 import ListEmployeesRequest

    found = stub(kejing, "Employees").ListEmployees(ListEmployeesRequest(login=login.lower())).employees
    return found[0] if found else None


def is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


class Departments:
    """The department tree. A department is named by its path from the top, with or without the root's own name
    ("Company/East/Shanghai" or "East/Shanghai"), or by its id."""

    def __init__(self, kejing: Connection) -> None:
        from kejing.identity.v1.departments_service_pb2 import ListDepartmentsRequest

        self._service = stub(kejing, "Departments")
        every = pages(self._service.ListDepartments, ListDepartmentsRequest(), "departments")
        self.by_id: dict[str, Any] = {each.id: each for each in every}

    @property
    def root(self) -> Any:
        return next(each for each in self.by_id.values() if not each.parent_id)

    def children(self, department_id: str) -> list[Any]:
        return [each for each in self.by_id.values() if each.parent_id == department_id]

    def path(self, department_id: str) -> str:
        """From the root down: "Company/East/Shanghai"; the id itself where the department is unknown."""
        names: list[str] = []
        at = self.by_id.get(department_id)
        while at is not None:
            names.insert(0, at.name)
            at = self.by_id.get(at.parent_id)
        return "/".join(names) or department_id

    def find(self, named: str) -> Any:
        """The department. Raises CommandFailed where there is none, or where a path means several."""
        if named in self.by_id:
            return self.by_id[named]
        wanted = _parts(named)
        found = [each for each in self.by_id.values() if wanted in self._ways(each)]
        if len(found) == 1:
            return found[0]
        if found:
            raise CommandFailed(f"department {named!r} may be {' or '.join(each.id for each in found)}; name its id")
        raise CommandFailed(f"there is no department {named!r}; `kejing department list` names them")

    def _ways(self, department: Any) -> tuple[list[str], list[str]]:
        path = _parts(self.path(department.id))
        return path, path[len(_parts(self.root.name)) :] or path

    def make(self, named: str) -> Any:
        """The department with a path; what is missing of the way there is created."""
        from kejing.identity.v1.departments_service_pb2 import CreateDepartmentRequest
        from services.cli.client import new_request_id

        at, names = self.root, [name for name in _parts(named) if name]
        for name in names[1:] if names[:1] == [at.name] else names:
            known = next((each for each in self.children(at.id) if each.name == name), None)
            if known is None:
                wanted = CreateDepartmentRequest(request_id=new_request_id(), name=name, parent_id=at.id)
                known = self._service.CreateDepartment(wanted).department
                self.by_id[known.id] = known
            at = known
        return at


def _parts(path: str) -> list[str]:
    return [part.strip() for part in path.strip().strip("/").split("/")]
