"""`kejing groups …`: lists of customers that people keep."""

from typing import Annotated, Any

import typer

from services.cli.failure import CommandFailed
from services.cli.options import ME, As, Json, Page, Size

app = typer.Typer()
groups = typer.Typer(no_args_is_help=True)
app.add_typer(groups, name="groups", help="Lists of customers that people keep.")
app.add_typer(groups, name="group", hidden=True)

Group = Annotated[str, typer.Argument(metavar="GROUP", help="Its name or id.")]
Customers = Annotated[list[str], typer.Argument(metavar="CUSTOMER_ID...")]
Description = Annotated[str, typer.Option(help="What it is for.")]
FIELDS: dict[str, Any] = {"name": "name", "description": "description", "id": "id"}


@groups.command("list")
def list_groups(size: Size = 50, page: Page = "", login: As = ME, as_json: Json = False) -> None:
    """List groups with how many customers are in them."""
    from kejing.customers.v1.tags_service_pb2 import ListGroupsRequest
    from services.cli.output import show

    answer = _call(login, "ListGroups", ListGroupsRequest(page_size=size, page_token=page))
    columns: dict[str, Any] = {"name": "name", "customers": "customers", "description": "description", "id": "id"}
    show(answer, answer.groups, columns, as_json=as_json)


@groups.command("create")
def create_group(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    description: Description = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Make a group."""
    from kejing.customers.v1.tags_service_pb2 import CreateGroupRequest
    from services.cli.client import new_request_id
    from services.cli.output import show_one

    request = CreateGroupRequest(request_id=new_request_id(), name=name, description=description)
    answer = _call(login, "CreateGroup", request)
    show_one(answer, answer.group, FIELDS, as_json=as_json)


@groups.command("rename")
def rename_group(
    group: Group,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    description: Annotated[str | None, typer.Option(help="What it is for; without, it stays.")] = None,
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Give a group another name, and another description if need be."""
    from kejing.customers.v1.tags_service_pb2 import UpdateGroupRequest
    from services.cli.client import new_request_id
    from services.cli.output import show_one

    known = _group(login, group)
    request = UpdateGroupRequest(
        request_id=new_request_id(), group_id=known.id, name=name, version=known.version,
        description=known.description if description is None else description,
    )  # fmt: skip
    answer = _call(login, "UpdateGroup", request)
    show_one(answer, answer.group, FIELDS, as_json=as_json)


@groups.command("delete")
def delete_group(group: Group, login: As = ME) -> None:
    """End a group; its customers stay."""
    from kejing.customers.v1.tags_service_pb2 import DeleteGroupRequest
    from services.cli.client import new_request_id

    known = _group(login, group)
    _call(login, "DeleteGroup", DeleteGroupRequest(request_id=new_request_id(), group_id=known.id), seconds=600)
    print(f"{known.name} has ended")


@groups.command("add")
def add_customers(group: Group, customers: Customers, login: As = ME) -> None:
    """Put customers into a group."""
    _put(login, group, customers, remove=False)


@groups.command("remove")
def remove_customers(group: Group, customers: Customers, login: As = ME) -> None:
    """Take customers out of a group."""
    _put(login, group, customers, remove=True)


def _put(login: str, group: str, customers: list[str], *, remove: bool) -> None:
    from kejing.customers.v1.tags_service_pb2 import GroupCustomersRequest
    from services.cli.client import new_request_id

    request = GroupCustomersRequest(
        request_id=new_request_id(), group_id=_group(login, group).id, customer_ids=customers, remove=remove
    )
    print(f"{_call(login, 'GroupCustomers', request).changed} of {len(customers)} customers changed")


def _group(login: str, named: str) -> Any:
    """The group with a name or id. Raises CommandFailed where there is none."""
    from kejing.customers.v1.tags_service_pb2 import ListGroupsRequest
    from kejing.customers.v1.tags_service_pb2_grpc import GroupsServiceStub
    from services.cli.client import connect
    from services.cli.organisation import pages

    with connect(login) as kejing:
        for group in pages(kejing.stub(GroupsServiceStub).ListGroups, ListGroupsRequest(), "groups"):
            if named in (group.name, group.id):
                return group
    raise CommandFailed(f"there is no group {named!r}; `kejing groups list` names them")


def _call(login: str, rpc: str, request: Any, seconds: float = 30.0) -> Any:
    from kejing.customers.v1.tags_service_pb2_grpc import GroupsServiceStub
    from services.cli.client import connect

    with connect(login) as kejing:
        return getattr(kejing.stub(GroupsServiceStub), rpc)(request, timeout=seconds)
