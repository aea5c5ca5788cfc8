"""A customer's personal data: handed out whole, erased everywhere, and not brought back."""

import json
import uuid
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import func, select

from kejing.common.v1 import permission_pb2
from kejing.customers.v1 import customer_pb2
from kejing.customers.v1 import privacy_service_pb2 as pb
from kejing.customers.v1.privacy_service_pb2_grpc import PrivacyServiceStub
from kejing.identity.v1 import roles_service_pb2 as roles_pb
from kejing.identity.v1.roles_service_pb2_grpc import RolesServiceStub
from kejing.operations.v1 import audit_records_service_pb2 as records_pb
from kejing.operations.v1.audit_pb2 import AuditFilter
from kejing.operations.v1.audit_records_service_pb2_grpc import AuditRecordsServiceStub
from services.shared.audit.tables import audit
from tests.support.customers import bring, by_external_id, colleague, fresh
from tests.support.eventually import eventually
from tests.support.everywhere import everywhere
from tests.support.refusals import refused
from tests.support.services import RunningServices
from tests.support.traces import NATIONAL_ID, Traces, leave_traces

HOLDERS = ["customers", "tasks", "revenue"]
EVERYONE = ["identity", "customers", "tasks", "health", "revenue", "notifications"]


@pytest.fixture
async def stub(services: RunningServices) -> Any:
    await services.start(*EVERYONE)
    return await services.stub(PrivacyServiceStub)


@pytest.fixture(scope="module")
async def traces(services: RunningServices) -> Traces:
    """Somebody whose data nobody erases."""
    await services.start(*EVERYONE)
    return await leave_traces(services)


@dataclass(frozen=True)
class Erased:
    """Somebody whose data were erased: where they lay, and how the customer was before."""

    traces: Traces
    lay_in: list[str]
    before: customer_pb2.Customer
    erasure: pb.Erasure


@pytest.fixture(scope="module")
async def erased(services: RunningServices) -> Erased:
    await services.start(*EVERYONE)
    stub = await services.stub(PrivacyServiceStub)
    traces = await leave_traces(services)
    lay_in = await everywhere(services, EVERYONE, traces.mark)
    before = await by_external_id(services, traces.external_id)
    return Erased(traces, lay_in, before, await done(stub, await erase(stub, traces.customer_id)))


async def exported(
    services: RunningServices, customer_id: str, login: str = "admin"
) -> dict[str, list[dict[str, Any]]]:
    stub = await services.stub(PrivacyServiceStub, "")
    request = pb.ExportPersonalDataRequest(request_id=fresh(), customer_id=customer_id)
    metadata = (("authorization", f"Bearer {await services.sign_in(f'employee:{login}')}"),)
    parts = [part.data async for part in stub.ExportPersonalData(request, metadata=metadata)]
    return json.loads(b"".join(parts))  # type: ignore[no-any-return]


async def erase(stub: Any, customer_id: str) -> pb.Erasure:
    request = pb.ErasePersonalDataRequest(request_id=fresh(), customer_id=customer_id, ground="case 7")
    return (await stub.ErasePersonalData(request)).erasure  # type: ignore[no-any-return]


async def done(stub: Any, erasure: pb.Erasure) -> pb.Erasure:
    """The erasure, once every service has confirmed it."""

    async def confirmed() -> Any:
        answer = await stub.GetErasure(pb.GetErasureRequest(erasure_id=erasure.id))
        return None if answer.erasure.waiting_for else answer.erasure

    return await eventually(confirmed)  # type: ignore[no-any-return]


async def test_everything_personal_is_handed_out(services: RunningServices, traces: Traces) -> None:
    document = await exported(services, traces.customer_id)
    assert set(document) == set(HOLDERS)
    kinds = {name: {record["kind"] for record in records} for name, records in document.items()}
    assert kinds["customers"] >= {"customer", "contact", "change", "rejected_row"}
    assert kinds["tasks"] == {"follow_up", "task", "postponement", "process_reason"}
    assert kinds["revenue"] == {"order"}
    text = json.dumps(document, ensure_ascii=False)
    assert [place for place in traces.places if f"{traces.mark} {place}" not in text] == []
    [customer] = [record["record"] for record in document["customers"] if record["kind"] == "customer"]
    assert NATIONAL_ID in customer.values()


async def test_handing_out_is_recorded(services: RunningServices, traces: Traces) -> None:
    await exported(services, traces.customer_id)
    async with services.db("customers").read() as read:
        wanted = select(func.count()).where(
            audit.c.customer_id == traces.customer_id, audit.c.method.endswith("/ExportPersonalData")
        )
        assert (await read.execute(wanted)).scalar() >= 1


async def test_nothing_is_left_anywhere_after_an_erasure(services: RunningServices, erased: Erased) -> None:
    assert len(erased.lay_in) > 8
    assert await everywhere(services, EVERYONE, erased.traces.mark) == []
    document = json.dumps(await exported(services, erased.traces.customer_id), ensure_ascii=False)
    assert erased.traces.mark not in document
    assert NATIONAL_ID not in document


async def test_what_is_not_personal_stays(services: RunningServices, erased: Erased) -> None:
    before, after = erased.before, await by_external_id(services, erased.traces.external_id)
    assert after.name == before.number == after.number
    assert not after.short_name
    assert not after.attributes
    assert (after.id, after.region, after.created_at) == (before.id, before.region, before.created_at)
    assert after.version > before.version


async def test_each_service_proves_what_it_erased_by_a_record(services: RunningServices, erased: Erased) -> None:
    assert set(erased.erasure.confirmed_by) == set(HOLDERS)
    for name, record_id in erased.erasure.confirmed_by.items():
        async with services.db(name).read() as read:
            record = (await read.execute(select(audit).where(audit.c.id == record_id))).one()
        assert record.method == "kejing.customers.v1.PrivacyService/ErasePersonalData"
        assert record.customer_id == erased.traces.customer_id


async def test_what_the_audit_held_of_it_can_no_longer_be_read(services: RunningServices, erased: Erased) -> None:
    for name in HOLDERS:
        records = await services.stub(AuditRecordsServiceStub, "machine:identity", part=name)
        wanted = AuditFilter(customer_id=erased.traces.customer_id)
        answer = await records.ListAuditRecords(records_pb.ListAuditRecordsRequest(filter=wanted, limit=100))
        assert any(record.erased for record in answer.records)
        assert not [record for record in answer.records if record.HasField("personal")]


async def test_no_import_brings_it_back(services: RunningServices, erased: Erased) -> None:
    again = await erased.traces.bring_again(services)
    assert [row.reason for row in again.rejected_rows] == [
        "the customer's personal data were erased on request; its contacts are not taken in again"
    ]
    assert await everywhere(services, EVERYONE, erased.traces.mark) == []


async def test_an_enterprise_keeps_its_name(services: RunningServices, stub: Any) -> None:
    name = fresh("enterprise")
    await bring(services, "ImportCustomers", [{"external_id": name, "name": name}])
    customer = await by_external_id(services, name)
    await erase(stub, customer.id)
    assert (await by_external_id(services, name)).name == name


async def test_a_service_that_is_down_is_named_and_erases_when_it_is_back(services: RunningServices, stub: Any) -> None:
    name = fresh("down")
    await bring(services, "ImportCustomers", [{"external_id": name, "name": name}])
    customer = await by_external_id(services, name)
    await services.stop("revenue")
    try:
        answer = await refused(exported(services, customer.id))
        erasure = await erase(stub, customer.id)
    finally:
        await services.start("revenue")
    assert (answer.code, answer.reason, answer.metadata["service"]) == ("UNAVAILABLE", "SERVICE_AWAY", "revenue")
    assert "revenue" in erasure.waiting_for
    assert (await done(stub, erasure)).ground == "case 7"


async def test_the_same_request_again_begins_no_second_erasure(services: RunningServices, stub: Any) -> None:
    name = fresh("again")
    await bring(services, "ImportCustomers", [{"external_id": name, "name": name}])
    customer = await by_external_id(services, name)
    request = pb.ErasePersonalDataRequest(request_id=fresh(), customer_id=customer.id, ground="case 8")
    first = (await stub.ErasePersonalData(request)).erasure
    assert (await stub.ErasePersonalData(request)).erasure.id == first.id


async def test_out_of_scope_is_not_found(services: RunningServices, stub: Any) -> None:
    name = fresh("privacy")
    await bring(services, "ImportCustomers", [{"external_id": name, "name": name}])
    customer = await by_external_id(services, name)
    erasure = await erase(stub, customer.id)
    roles = await services.stub(RolesServiceStub)
    key = f"PRIVACY_{uuid.uuid4().hex[:8].upper()}"
    permissions = [permission_pb2.PERMISSION_PRIVACY_MANAGE]
    await roles.CreateRole(
        roles_pb.CreateRoleRequest(
            request_id=fresh(), key=key, name=key, permissions=permissions, scope=permission_pb2.SCOPE_OWN
        )
    )
    stranger = await colleague(services, key)
    his = await services.stub(PrivacyServiceStub, f"employee:{stranger.login}")
    wanted = pb.ErasePersonalDataRequest(request_id=fresh(), customer_id=customer.id, ground="x")
    assert (await refused(his.ErasePersonalData(wanted))).reason == "CUSTOMER_NOT_FOUND"
    assert (await refused(exported(services, customer.id, stranger.login))).reason == "CUSTOMER_NOT_FOUND"
    answer = await refused(his.GetErasure(pb.GetErasureRequest(erasure_id=erasure.id)))
    assert answer.reason == "ERASURE_NOT_FOUND"
