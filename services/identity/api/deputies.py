"""DeputiesService: who stands in for whom."""

from datetime import timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from kejing.common.v1 import permission_pb2
from kejing.identity.v1 import deputies_service_pb2 as pb
from kejing.identity.v1 import deputies_service_pb2_grpc
from services.identity.api.authority import require_authority_over
from services.identity.api.telling import tell_deputy
from services.identity.api.wire import found, to_deputy
from services.identity.storage import departments, deputies, employees
from services.shared.clock import business_date
from services.shared.db import Database, Write
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from services.shared.rpc.caller import caller
from services.shared.rpc.wire import from_date

LONGEST = timedelta(days=366)


class DeputiesServicer(deputies_service_pb2_grpc.DeputiesServiceServicer):
    """`zone`: of business dates. One's own is what concerns the person who calls, not whom he acts for."""

    def __init__(self, db: Database, zone: ZoneInfo) -> None:
        self._db = db
        self._zone = zone

    async def CreateDeputy(self, request: pb.CreateDeputyRequest, context: Any) -> pb.CreateDeputyResponse:
        absent_id = UUID(request.absent_id) if request.absent_id else caller().person_id
        deputy_id = UUID(request.deputy_id)
        if deputy_id == absent_id:
            raise InvalidArgument("deputy_id", deputy_id, "it must be somebody else than the absent one")
        first, last = from_date("from", getattr(request, "from")), from_date("until", request.until)
        if last < first:
            raise InvalidArgument("until", last, "it must not be before from")
        if last - first > LONGEST:
            raise InvalidArgument("until", last, f"it must be at most {LONGEST.days} days after from")
        async with self._db.write(request) as write:
            if write.first:
                if last < business_date(write.now, self._zone):
                    raise InvalidArgument("until", last, "it must not be before today")
                await departments.lock_people(write)
                if absent_id != caller().person_id:
                    self._require_others()
                    await require_authority_over(write.connection, absent_id)
                for employee_id in (absent_id, deputy_id):
                    await self._require_active(write, employee_id)
                if await deputies.is_away(write, deputy_id, first, last):
                    raise FailedPrecondition("DEPUTY_ABSENT", "the deputy is away himself on one of these days")
                row = {"id": write.result_id, "absent_id": absent_id, "deputy_id": deputy_id, "valid_from": first,
                       "valid_to": last}  # fmt: skip
                await deputies.add(write, row)
                await tell_deputy(write, write.result_id)
            stored = found(await deputies.get(write.connection, write.result_id), "deputy", write.result_id)
        return pb.CreateDeputyResponse(deputy=to_deputy(stored))

    async def ListDeputies(self, request: pb.ListDeputiesRequest, context: Any) -> pb.ListDeputiesResponse:
        employee_id = UUID(request.employee_id) if request.employee_id else caller().person_id
        if employee_id != caller().person_id:
            self._require_others()
        after, size = page_start(request), page_size(request.page_size)
        async with self._db.read() as read:
            rows = await deputies.page(read, employee_id, after, size + 1)
        page, more = rows[:size], len(rows) > size
        return pb.ListDeputiesResponse(
            deputies=map(to_deputy, page),
            next_page_token=next_page_token(request, [page[-1].valid_to, page[-1].id]) if more else "",
        )

    async def EndDeputy(self, request: pb.EndDeputyRequest, context: Any) -> pb.EndDeputyResponse:
        deputy_id = UUID(request.deputy_id)
        async with self._db.write(request, result_id=deputy_id) as write:
            if write.first:
                await departments.lock_people(write)
                row = found(await deputies.get(write.connection, deputy_id), "deputy", deputy_id)
                if caller().person_id not in (row.absent_id, row.deputy_id):
                    if not caller().holds(permission_pb2.PERMISSION_EMPLOYEES_MANAGE):
                        raise NotFound("deputy", deputy_id)
                    await require_authority_over(write.connection, row.absent_id)
                if not row.deleted:
                    await deputies.end(write, deputy_id)
                    await tell_deputy(write, deputy_id)
        return pb.EndDeputyResponse()

    @staticmethod
    def _require_others() -> None:
        if not caller().holds(permission_pb2.PERMISSION_EMPLOYEES_MANAGE):
            raise PermissionDenied("NOT_YOURS", "somebody else's deputies are for who may manage employees")

    @staticmethod
    async def _require_active(write: Write, employee_id: UUID) -> None:
        if not found(await employees.get(write.connection, employee_id), "employee", employee_id).active:
            raise FailedPrecondition("EMPLOYEE_INACTIVE", f"the employee {employee_id} has left")
