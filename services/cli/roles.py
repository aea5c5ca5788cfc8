"""`kejing role …`: what employees may do, and for which customers."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from services.cli.failure import CommandFailed
from services.cli.options import ME, As, Json

app = typer.Typer()
role = typer.Typer(no_args_is_help=True)
app.add_typer(role, name="role", help="Roles: permissions with a scope.")

Key = Annotated[str, typer.Argument(metavar="KEY", help="The role's key, e.g. csm.")]
PERMISSION_HELP = "A permission, e.g. customers-read; may be given several times."
ROLE: dict[str, Any] = {
    "key": "key", "name": "name", "scope": "scope", "permissions": lambda row: len(row.permissions),
}  # fmt: skip


class Scope(StrEnum):
    OWN = "own"
    DEPARTMENT = "department"
    ALL = "all"


@role.command("list")
def list_roles(login: As = ME, as_json: Json = False) -> None:
    """List all roles."""
    from services.cli.output import show

    answer = _every(login)
    show(answer, answer.roles, ROLE, as_json=as_json)


@role.command("show")
def show_role(key: Key, login: As = ME, as_json: Json = False) -> None:
    """Show what a role allows."""
    _show(_find(_every(login), key), as_json=as_json)


@role.command("permissions")
def list_permissions() -> None:
    """List every permission that a role can hold."""
    print("\n".join(_catalogue()))


@role.command("add")
def add_role(
    key: Key,
    scope: Annotated[Scope, typer.Option(help="Customers that one owns, those of one's department and below, or all.")],
    permission: Annotated[list[str], typer.Option(metavar="NAME", help=PERMISSION_HELP)],
    name: Annotated[str, typer.Option(help="The name that people read; the key without.")] = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Add a role."""
    from kejing.identity.v1.roles_service_pb2 import CreateRoleRequest
    from services.cli.client import new_request_id
    from services.cli.organisation import call

    wanted = CreateRoleRequest(
        request_id=new_request_id(),
        key=_key(key),
        name=name or _key(key),
        permissions=[_permission(each) for each in permission],  # type: ignore[misc]
        scope=_scope(scope),
    )
    _show(call(login, "Roles", "CreateRole", wanted).role, as_json=as_json)


@role.command("change")
def change_role(
    key: Key,
    name: Annotated[str, typer.Option(help="The name that people read.")] = "",
    scope: Annotated[Scope | None, typer.Option(help="Which customers it shows.")] = None,
    allow: Annotated[list[str] | None, typer.Option(metavar="NAME", help=PERMISSION_HELP)] = None,
    deny: Annotated[list[str] | None, typer.Option(metavar="NAME", help="One that is taken away.")] = None,
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Change a role for everybody who has it; what isn't given stays."""
    from kejing.identity.v1.roles_service_pb2 import UpdateRoleRequest
    from services.cli.client import new_request_id
    from services.cli.organisation import call

    if not (name or scope or allow or deny):
        raise CommandFailed("nothing to change: give --name, --scope, --allow or --deny")
    known = _find(_every(login), key)
    permissions = {*known.permissions, *map(_permission, allow or ())} - {*map(_permission, deny or ())}
    wanted = UpdateRoleRequest(
        request_id=new_request_id(),
        key=known.key,
        name=name or known.name,
        permissions=sorted(permissions),
        scope=_scope(scope) if scope else known.scope,
    )
    _show(call(login, "Roles", "UpdateRole", wanted).role, as_json=as_json)


@role.command("delete")
def delete_role(key: Key, login: As = ME) -> None:
    """Remove a role that nobody has."""
    from kejing.identity.v1.roles_service_pb2 import DeleteRoleRequest
    from services.cli.client import new_request_id
    from services.cli.organisation import call

    call(login, "Roles", "DeleteRole", DeleteRoleRequest(request_id=new_request_id(), key=_key(key)))
    print(f"role {_key(key)} is gone")


def _every(login: str) -> Any:
    from kejing.identity.v1.roles_service_pb2 import ListRolesRequest
    from services.cli.organisation import call

    return call(login, "Roles", "ListRoles", ListRolesRequest())


def _find(answer: Any, key: str) -> Any:
    found = next((each for each in answer.roles if each.key == _key(key)), None)
    if found is None:
        raise CommandFailed(f"there is no role {key!r}; there are {', '.join(each.key for each in answer.roles)}")
    return found


def _key(text: str) -> str:
    from services.cli.employee_import import role_key

    return role_key(text)


def _scope(scope: Scope) -> Any:
    from kejing.common.v1 import permission_pb2

    return permission_pb2.Scope.Value(f"SCOPE_{scope.name}")


def _permission(text: str) -> int:
    from kejing.common.v1.permission_pb2 import Permission

    name = text.strip().lower().replace("_", "-").removeprefix("permission-")
    if name not in _catalogue():
        raise CommandFailed(f"there is no permission {text!r}; there are {', '.join(_catalogue())}")
    return Permission.Value(f"PERMISSION_{name.upper().replace('-', '_')}")


def _catalogue() -> list[str]:
    """All that a role can hold; everybody holds PERMISSION_SIGNED_IN."""
    from kejing.common.v1.permission_pb2 import PERMISSION_SIGNED_IN, Permission

    return [permission_name(number) for number in Permission.values() if number > PERMISSION_SIGNED_IN]


def permission_name(number: Any) -> str:
    """PERMISSION_CUSTOMERS_READ → customers-read."""
    from kejing.common.v1.permission_pb2 import Permission

    return Permission.Name(number).removeprefix("PERMISSION_").lower().replace("_", "-")


def _show(found: Any, *, as_json: bool) -> None:
    from services.cli.output import show_one

    allowed = "\n".join(permission_name(each) for each in found.permissions)
    show_one(found, found, {**ROLE, "permissions": lambda _row: allowed}, as_json=as_json)
