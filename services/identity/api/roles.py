"""RolesService: who may do what."""

from collections.abc import Sequence
from typing import Any

from kejing.identity.v1 import roles_service_pb2 as pb
from kejing.identity.v1 import roles_service_pb2_grpc
from services.identity.api.authority import Authority, powers_of
from services.identity.api.telling import tell_roles
from services.identity.api.wire import found, scope_word, to_role
from services.identity.domain.roles import MOST_ROLES, Powers, ascending, require_changeable, require_unused
from services.identity.storage import departments, employees, roles
from services.shared.db import Database, Write
from services.shared.errors import AlreadyExists, FailedPrecondition


class RolesServicer(roles_service_pb2_grpc.RolesServiceServicer):
    def __init__(self, db: Database) -> None:
        self._db = db

    async def ListRoles(self, request: pb.ListRolesRequest, context: Any) -> pb.ListRolesResponse:
        async with self._db.read() as read:
            return pb.ListRolesResponse(roles=map(to_role, await roles.get_all(read)))

    async def CreateRole(self, request: pb.CreateRoleRequest, context: Any) -> pb.CreateRoleResponse:
        async with self._db.write(request) as write:
            if write.first:
                await departments.lock_people(write)
                await self._require_own(write, request.permissions, scope_word(request.scope))
                if await roles.count(write) >= MOST_ROLES:
                    raise FailedPrecondition("TOO_MANY_ROLES", f"there are {MOST_ROLES} roles, which is the most")
                permissions = ascending(request.permissions)
                if not await roles.add(write, request.key, request.name, permissions, scope_word(request.scope)):
                    raise AlreadyExists("ROLE_KEY_TAKEN", f"there is a role {request.key} already", key=request.key)
                await self._tell(write, request.key)
            stored = found(await roles.get(write.connection, request.key), "role", request.key)
        return pb.CreateRoleResponse(role=to_role(stored))

    async def UpdateRole(self, request: pb.UpdateRoleRequest, context: Any) -> pb.UpdateRoleResponse:
        async with self._db.write(request) as write:
            if write.first:
                await departments.lock_people(write)
                require_changeable(request.key)
                await self._require_own_role(write, request.key)
                await self._require_own(write, request.permissions, scope_word(request.scope))
                values = {"name": request.name, "permissions": ascending(request.permissions),
                          "scope": scope_word(request.scope)}  # fmt: skip
                await roles.change(write, request.key, values)
                await self._tell(write, request.key)
            stored = found(await roles.get(write.connection, request.key), "role", request.key)
        return pb.UpdateRoleResponse(role=to_role(stored))

    async def DeleteRole(self, request: pb.DeleteRoleRequest, context: Any) -> pb.DeleteRoleResponse:
        async with self._db.write(request) as write:
            if write.first:
                await departments.lock_people(write)
                require_changeable(request.key)
                await self._require_own_role(write, request.key)
                require_unused(request.key, await employees.count_of_role(write, request.key))
                await roles.change(write, request.key, {"deleted": True})
                await self._tell(write, request.key)
        return pb.DeleteRoleResponse()

    @staticmethod
    async def _require_own_role(write: Write, key: str) -> None:
        """Raises NotFound (ROLE_NOT_FOUND), PermissionDenied (BEYOND_YOUR_OWN) for a role beyond the caller's."""
        (await Authority.of_caller(write.connection)).over_role(await powers_of(write.connection, key))

    @staticmethod
    async def _require_own(write: Write, permissions: Sequence[int], scope: str) -> None:
        (await Authority.of_caller(write.connection)).over_role(Powers(frozenset(permissions), scope))

    @staticmethod
    async def _tell(write: Write, key: str) -> None:
        if write.doing:
            write.doing.object_id = key
        await tell_roles(write, [key])
