"""One query over who did what, in all services."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from kejing.identity.v1 import audit_service_pb2 as pb
from kejing.identity.v1.audit_service_pb2_grpc import AuditServiceStub, add_AuditServiceServicer_to_server
from kejing.identity.v1.departments_service_pb2 import CreateDepartmentRequest
from kejing.identity.v1.deputies_service_pb2_grpc import DeputiesServiceStub
from kejing.identity.v1.employees_service_pb2 import GetMeRequest, UpdateEmployeeRequest
from kejing.operations.v1 import audit_records_service_pb2_grpc
from kejing.operations.v1.audit_pb2 import AuditChain, AuditFilter
from kejing.operations.v1.audit_records_service_pb2 import VerifyAuditChainResponse
from services.identity.api.audit import AuditServicer
from services.shared.audit.servicer import AuditRecordsServicer
from services.shared.clock import utc_now
from services.shared.rpc.client import ACTING_FOR
from services.shared.rpc.wire import to_timestamp
from tests.support.customers import bring
from tests.support.eventually import eventually
from tests.support.identity import People, deputyship, fresh
from tests.support.peers import a_peer
from tests.support.refusals import refused
from tests.support.services import RunningServices

IDENTITY = "kejing.identity.v1."


@pytest.fixture
async def admin(services: RunningServices) -> People:
    await services.start("customers")
    return await People.by(services)


@pytest.fixture
async def audit(services: RunningServices, admin: People) -> Any:
    """The service as an administrator has it, once it has found customers."""
    stub = await services.stub(AuditServiceStub)

    async def complete() -> bool:
        return "customers" not in (await stub.ListAudit(pb.ListAuditRequest(page_size=1))).missing

    await eventually(complete)
    return stub


async def found(audit: Any, *, size: int = 500, **conditions: Any) -> list[Any]:
    """All records of a query, page by page."""
    records: list[Any] = []
    token = ""
    while True:
        request = pb.ListAuditRequest(filter=AuditFilter(**conditions), page_size=size, page_token=token)
        page = await audit.ListAudit(request)
        records += page.records
        token = page.next_page_token
        if not token:
            return records


async def test_every_change_is_recorded_with_who_what_and_by_what(admin: People, audit: Any) -> None:
    me = (await admin.employees.GetMe(GetMeRequest())).employee
    employee = await admin.employee()
    request = UpdateEmployeeRequest(request_id=fresh("r"), employee_id=employee.id, role_key="SALES",
                                    display_name="张三 Zhang San")  # fmt: skip
    await admin.employees.UpdateEmployee(request)

    updated, created = await found(audit, object_id=employee.id)

    assert created.method == f"{IDENTITY}EmployeesService/CreateEmployee"
    assert updated.method == f"{IDENTITY}EmployeesService/UpdateEmployee"
    assert (updated.service, updated.actor, updated.request_id) == ("identity", me.id, request.request_id)
    assert (updated.means.split()[0], updated.peer) == ("session", "127.0.0.1")
    assert dict(updated.change) == {"employee_id": employee.id, "role_key": "SALES"}
    assert dict(updated.personal) == {"display_name": "张三 Zhang San"}


async def test_a_role_is_found_by_its_key(admin: People, audit: Any) -> None:
    key = await admin.role("TASKS_READ")
    [record] = await found(audit, object_id=key)
    assert record.method == f"{IDENTITY}RolesService/CreateRole"
    assert list(record.change["permissions"]) == ["PERMISSION_TASKS_READ"]


async def test_what_was_refused_is_not_recorded(admin: People, audit: Any) -> None:
    region = await admin.department()
    await refused(admin.move(region, region))
    assert len(await found(audit, object_id=region)) == 1


async def test_a_deputys_doing_names_both(services: RunningServices, admin: People, audit: Any) -> None:
    role = await admin.role("EMPLOYEES_MANAGE", scope="ALL")
    absent, deputy = await admin.employee(role=role), await admin.employee()
    stub = await services.stub(DeputiesServiceStub, f"employee:{absent.login}")
    await stub.CreateDeputy(deputyship(deputy.id))
    await services.directory("identity").look()
    his = await People.by(services, f"employee:{deputy.login}")
    request = CreateDepartmentRequest(request_id=fresh("r"), name=fresh("d"))
    await his.departments.CreateDepartment(request, metadata=((ACTING_FOR, absent.id),))

    [record] = await found(audit, actor=deputy.id, method_prefix=f"{IDENTITY}DepartmentsService/")
    assert record.acting_for == absent.id


async def test_records_of_all_services_come_in_one_order_each_once(
    services: RunningServices, admin: People, audit: Any
) -> None:
    begin = to_timestamp(utc_now())
    for _ in range(3):
        await admin.employee()
        await bring(services, "ImportCustomers", [{"external_id": fresh("c"), "name": "ACME"}])

    since: dict[str, Any] = {"from": begin, "until": to_timestamp(utc_now())}
    whole, paged = await found(audit, **since), await found(audit, size=2, **since)

    assert {record.service for record in whole} == {"identity", "customers"}
    assert [record.id for record in paged] == [record.id for record in whole]
    order = [(record.occurred_at.ToNanoseconds(), record.id) for record in whole]
    assert order == sorted(order, reverse=True)
    assert len(set(order)) == len(order) >= 6


async def test_conditions_are_all_met(services: RunningServices, admin: People, audit: Any) -> None:
    employee = await admin.employee()
    await admin.update(employee.id, role_key="SALES")
    await bring(services, "ImportCustomers", [{"external_id": fresh("c"), "name": "ACME"}])

    made = await found(audit, object_id=employee.id, method_prefix=f"{IDENTITY}EmployeesService/Create")
    assert len(made) == 1
    assert await found(audit, request_id=made[0].request_id, actor=made[0].actor)
    assert {record.service for record in await found(audit, service="customers")} == {"customers"}
    assert not await found(audit, object_id=employee.id, service="customers")
    assert not await found(audit, object_id=employee.id, until=to_timestamp(utc_now() - timedelta(hours=1)))


async def test_a_service_that_does_not_answer_is_named(services: RunningServices, admin: People, audit: Any) -> None:
    await services.stop("customers")
    try:
        page = await audit.ListAudit(pb.ListAuditRequest(page_size=1))
        chains = await audit.VerifyAudit(pb.VerifyAuditRequest())
    finally:
        await services.start("customers")
    assert "customers" in page.missing
    assert "identity" not in page.missing
    assert len(page.records) == 1
    assert "customers" in chains.missing
    assert "identity" in {chain.service for chain in chains.chains}


async def test_the_chains_of_all_services_are_whole(services: RunningServices, admin: People, audit: Any) -> None:
    await admin.employee()
    await bring(services, "ImportCustomers", [{"external_id": fresh("c"), "name": "ACME"}])

    async def sealed() -> bool:
        answer = await audit.VerifyAudit(pb.VerifyAuditRequest())
        chains = {chain.service: chain for chain in answer.chains}
        assert all(chain.whole for chain in answer.chains)
        assert {"identity", "customers"} <= set(chains)
        return bool(chains["identity"].records and chains["customers"].records and chains["identity"].head)

    await eventually(sealed)


class LongChain(AuditRecordsServicer):
    """Notes how long it might compute; and has not finished by then where `never`."""

    def __init__(self, services: RunningServices, *, never: bool = False) -> None:
        super().__init__(services.db("customers"), "customers")
        self.never = never
        self.seconds = 0.0

    async def VerifyAuditChain(self, request: Any, context: Any) -> VerifyAuditChainResponse:  # noqa: N802
        self.seconds = context.time_remaining()
        if self.never:
            await asyncio.Event().wait()
        return VerifyAuditChainResponse(chain=AuditChain(service="customers", whole=True))


@asynccontextmanager
async def verifying(services: RunningServices, chain: LongChain) -> AsyncIterator[Any]:
    """AuditService beside a service with this chain."""
    own = AuditRecordsServicer(services.db("identity"), "identity")
    async with (
        a_peer(audit_records_service_pb2_grpc.add_AuditRecordsServiceServicer_to_server, chain) as customers,
        a_peer(add_AuditServiceServicer_to_server, AuditServicer(own, {"customers": customers})) as identity,
    ):
        yield AuditServiceStub(identity)


async def test_a_long_chain_is_waited_for_as_long_as_the_caller_does(services: RunningServices, admin: People) -> None:
    async with verifying(services, chain := LongChain(services)) as audit:
        await audit.VerifyAudit(pb.VerifyAuditRequest(), timeout=3000)
    assert 2900 < chain.seconds < 3100  # gRPC sends three digits of a deadline


async def test_a_chain_that_takes_longer_than_the_caller_waits_is_named(
    services: RunningServices, admin: People
) -> None:
    async with verifying(services, LongChain(services, never=True)) as audit:
        answer = await audit.VerifyAudit(pb.VerifyAuditRequest(), timeout=3)
    assert list(answer.missing) == ["customers"]
    assert [found.service for found in answer.chains] == ["identity"]


async def test_wrong_conditions_are_named(audit: Any) -> None:
    for conditions, field in (
        ({"service": "cash"}, "filter.service"),
        ({"from": {"seconds": 10**12}}, "filter.from"),
        ({"until": {"seconds": 10**12}}, "filter.until"),
        ({"actor": "x" * 101}, "filter.actor"),
    ):
        answer = await refused(audit.ListAudit(pb.ListAuditRequest(filter=AuditFilter(**conditions))))
        assert (answer.code, answer.fields) == ("INVALID_ARGUMENT", (field,))
    for token in ("nonsense", "WyJhIl0"):
        answer = await refused(audit.ListAudit(pb.ListAuditRequest(page_token=token)))
        assert (answer.code, answer.fields) == ("INVALID_ARGUMENT", ("page_token",))


async def test_the_audit_is_for_who_may_read_it_and_sees_everything(services: RunningServices, admin: People) -> None:
    part = await admin.employee(role=await admin.role("AUDIT_READ", scope="DEPARTMENT"))
    for login, reason in (
        ((await admin.employee(role="MANAGER")).login, "PERMISSION_MISSING"),
        (part.login, "SCOPE_TOO_SMALL"),
    ):
        stub = await services.stub(AuditServiceStub, f"employee:{login}")
        for call in (stub.ListAudit(pb.ListAuditRequest()), stub.VerifyAudit(pb.VerifyAuditRequest())):
            answer = await refused(call)
            assert (answer.code, answer.reason) == ("PERMISSION_DENIED", reason)
