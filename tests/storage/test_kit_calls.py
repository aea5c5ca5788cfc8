"""Around every rpc: who calls, may he, and what the audit says of it. A real server with a few lines behind it."""

# ruff: noqa: N802  - rpc methods carry the names of the contract

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import grpc
import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from google.protobuf.json_format import MessageToDict
from grpc_health.v1 import health_pb2_grpc
from sqlalchemy import select
from structlog.testing import capture_logs

from kejing.common.v1 import permission_pb2 as permissions
from kejing.customers.v1 import customers_service_pb2 as messages
from kejing.customers.v1 import customers_service_pb2_grpc, imports_service_pb2, imports_service_pb2_grpc
from kejing.identity.v1 import sessions_service_pb2, sessions_service_pb2_grpc
from services.shared.access import EVERYTHING, Grant, Scope
from services.shared.audit.tables import audit
from services.shared.clock import utc_now
from services.shared.db import Database
from services.shared.errors import PermissionDenied
from services.shared.ids import new_id
from services.shared.rpc.caller import Caller, caller
from services.shared.rpc.client import ACTING_FOR, ON_BEHALF_OF, channel
from services.shared.rpc.server import Server
from services.shared.rpc.tokens import AUDIENCE, ISSUER, TokenVerifier
from tests.support.infrastructure import TestInfrastructure

KEY = Ed25519PrivateKey.generate()
reader, leader, importer = (str(new_id()) for _ in range(3))
PARTLY = Scope(False, (UUID(reader),))
GRANTS = {
    reader: Grant(frozenset({permissions.PERMISSION_CUSTOMERS_READ}), PARTLY),
    leader: Grant(frozenset({permissions.PERMISSION_CUSTOMERS_IMPORT}), PARTLY),
    importer: Grant(frozenset({permissions.PERMISSION_CUSTOMERS_IMPORT}), EVERYTHING),
}


class Rights:
    """Grants by employee; the reader may stand in for the importer."""

    async def of(self, known: Caller, acting_for: str) -> Grant:
        if acting_for and (known.subject, acting_for) != (reader, importer):
            raise PermissionDenied("NOT_A_DEPUTY", "")
        return GRANTS[acting_for or known.subject]


class Customers(customers_service_pb2_grpc.CustomersServiceServicer):
    """Remembers who called."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.callers: list[Caller] = []

    async def GetCustomer(self, request: Any, context: Any) -> Any:
        self.callers.append(caller())
        return messages.GetCustomerResponse()

    async def GetCustomerFacts(self, request: Any, context: Any) -> Any:
        self.callers.append(caller())
        return messages.GetCustomerFactsResponse()

    async def CountOwnedCustomers(self, request: Any, context: Any) -> Any:
        self.callers.append(caller())
        return messages.CountOwnedCustomersResponse()


class Imports(imports_service_pb2_grpc.ImportsServiceServicer):
    """Remembers who called; an upload writes in two transactions."""

    def __init__(self, db: Database, callers: list[Caller]) -> None:
        self._db = db
        self._callers = callers

    async def UploadFile(self, requests: Any, context: Any) -> Any:
        self._callers.append(caller())
        async for part in requests:
            if part.HasField("start"):
                start = part.start
        for _ in range(2):
            async with self._db.write(start):
                pass
        return imports_service_pb2.UploadFileResponse()


class Sessions(sessions_service_pb2_grpc.SessionsServiceServicer):
    def __init__(self, db: Database) -> None:
        self._db = db

    async def GetPublicKeys(self, request: Any, context: Any) -> Any:
        async with self._db.transaction() as write:
            assert write.doing is not None
            write.doing.actor = "somebody"
        return sessions_service_pb2.GetPublicKeysResponse()


@dataclass
class Running:
    db: Database
    customers: Any
    imports: Any
    sessions: Any
    callers: list[Caller] = field(default_factory=list)

    async def records(self) -> list[Any]:
        async with self.db.read() as read:
            return list((await read.execute(select(audit))).all())


@pytest_asyncio.fixture
async def running(infrastructure: TestInfrastructure) -> AsyncIterator[Running]:
    async def keys() -> dict[str, Ed25519PublicKey]:
        return {"k": KEY.public_key()}

    async with infrastructure.new_database("identity") as url:
        db = Database(url, utc_now)
        servicer: Any = Customers(db)  # type: ignore[abstract]  # only what is called here
        sessions: Any = Sessions(db)  # type: ignore[abstract]
        verifier = TokenVerifier(keys)
        await verifier.refresh()
        imports: Any = Imports(db, servicer.callers)  # type: ignore[abstract]
        server = Server("127.0.0.1:0", verifier, Rights(), [servicer, imports, sessions])
        await server.start()
        opened = channel(f"127.0.0.1:{server.port}")
        yield Running(
            db,
            customers_service_pb2_grpc.CustomersServiceStub(opened),
            imports_service_pb2_grpc.ImportsServiceStub(opened),
            sessions_service_pb2_grpc.SessionsServiceStub(opened),
            servicer.callers,
        )
        await opened.close()
        await server.stop()
        await db.close()


def signed(subject: str, *more: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "sid": "s1", "exp": int(time.time()) + 900}
    return (("authorization", f"Bearer {jwt.encode(claims, KEY, 'EdDSA', {'kid': 'k'})}"), *more)


async def refusal(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    detail: Any
    [detail] = [value for key, value in error.value.trailing_metadata() or () if key == "grpc-status-details-bin"]
    return f"{error.value.code().name} {bytes(detail).decode(errors='ignore')}"


def one() -> messages.GetCustomerRequest:
    return messages.GetCustomerRequest(customer_id=str(new_id()))


def parts() -> list[Any]:
    columns = {name: imports_service_pb2.ColumnMapping(column=name) for name in ("external_id", "name")}
    start = imports_service_pb2.ImportStart(
        request_id=str(uuid4()),
        source="crm",
        kind=imports_service_pb2.IMPORT_KIND_CUSTOMERS,
        mapping=imports_service_pb2.Mapping(columns=columns),
    )
    return [
        imports_service_pb2.UploadFileRequest(start=start),
        imports_service_pb2.UploadFileRequest(data=b"secret,rows"),
    ]


async def test_who_holds_the_permission_calls_with_his_grant(running: Running) -> None:
    await running.customers.GetCustomer(one(), metadata=signed(reader))
    [known] = running.callers
    assert (known.actor, known.scope, known.peer) == (reader, PARTLY, "127.0.0.1")


async def test_who_lacks_the_permission_is_refused(running: Running) -> None:
    said = await refusal(running.customers.GetCustomer(one(), metadata=signed(leader)))
    assert said.startswith("PERMISSION_DENIED")
    assert "PERMISSION_MISSING" in said
    assert "PERMISSION_CUSTOMERS_READ" in said


async def test_who_calls_without_a_token_is_refused(running: Running) -> None:
    assert "TOKEN_MISSING" in await refusal(running.customers.GetCustomer(one()))
    assert "TOKEN_MISSING" in await refusal(running.imports.UploadFile(iter(parts())))


async def test_what_concerns_every_customer_needs_a_scope_of_all(running: Running) -> None:
    said = await refusal(running.imports.UploadFile(iter(parts()), metadata=signed(leader)))
    assert "SCOPE_TOO_SMALL" in said
    await running.imports.UploadFile(iter(parts()), metadata=signed(importer))


async def test_a_machine_may_call_what_names_it_and_sees_every_customer_there(running: Running) -> None:
    machine = signed("machine:processes", (ON_BEHALF_OF, reader))
    await running.customers.GetCustomer(one(), metadata=machine)
    [known] = running.callers
    assert known.scope.everything
    assert (known.actor, known.means) == (reader, "machine:processes")
    assert "MACHINE_NOT_ALLOWED" in await refusal(
        running.customers.GetCustomer(one(), metadata=signed("machine:tasks"))
    )
    count = messages.CountOwnedCustomersRequest(employee_id=reader)
    assert "MACHINE_NOT_ALLOWED" in await refusal(running.customers.CountOwnedCustomers(count, metadata=machine))


async def test_people_may_not_call_what_is_for_machines(running: Running) -> None:
    facts = messages.GetCustomerFactsRequest(customer_ids=[str(new_id())])
    await running.customers.GetCustomerFacts(facts, metadata=signed("machine:tasks"))
    said = await refusal(running.customers.GetCustomerFacts(facts, metadata=signed(importer)))
    assert "MACHINES_ONLY" in said


async def test_a_person_acts_for_nobody_by_a_machines_header(running: Running) -> None:
    await running.customers.GetCustomer(one(), metadata=signed(reader, (ON_BEHALF_OF, importer)))
    [known] = running.callers
    assert known.actor == reader


async def test_a_deputy_acts_with_what_the_absent_one_may_and_is_named_in_the_audit(running: Running) -> None:
    standing_in = signed(reader, (ACTING_FOR, importer.upper()))
    await running.imports.UploadFile(iter(parts()), metadata=standing_in)
    [known] = running.callers
    assert (str(known.employee_id), known.actor, known.acting_for) == (importer, reader, importer)
    [record] = await running.records()
    assert (record.actor, record.acting_for) == (reader, importer)
    # What he may himself, he may not while he stands in.
    assert "PERMISSION_MISSING" in await refusal(running.customers.GetCustomer(one(), metadata=standing_in))


async def test_who_is_no_deputy_is_refused(running: Running) -> None:
    metadata = signed(leader, (ACTING_FOR, importer))
    assert "NOT_A_DEPUTY" in await refusal(running.customers.GetCustomer(one(), metadata=metadata))


async def test_a_stream_is_recorded_once_with_its_first_message(running: Running) -> None:
    sent = parts()
    await running.imports.UploadFile(iter(sent), metadata=signed(importer))
    [record] = await running.records()
    said = MessageToDict(sent[0].start, preserving_proto_field_name=True)
    del said["request_id"]
    assert record.change == {"start": said}
    assert record.request_id == sent[0].start.request_id
    assert record.method == "kejing.customers.v1.ImportsService/UploadFile"


async def test_what_anybody_may_call_is_recorded_without_a_session(running: Running) -> None:
    await running.sessions.GetPublicKeys(sessions_service_pb2.GetPublicKeysRequest())
    [record] = await running.records()
    assert (record.actor, record.means, record.peer) == ("somebody", "", "127.0.0.1")


def test_a_server_with_an_rpc_that_lets_nobody_in_does_not_start() -> None:
    async def keys() -> dict[str, Ed25519PublicKey]:
        return {}

    with pytest.raises(TypeError, match=r"grpc.health.v1.Health.\w+ does not declare who may call it"):
        Server("127.0.0.1:0", TokenVerifier(keys), Rights(), [health_pb2_grpc.HealthServicer()])


async def test_what_a_stranger_sends_does_not_fill_the_log(running: Running) -> None:
    request = messages.UpdateCustomerRequest(request_id="x" * 1_000_000)
    with capture_logs() as lines:
        assert "TOKEN_MISSING" in await refusal(running.customers.UpdateCustomer(request))
    [line] = [line for line in lines if line["event"] == "call"]
    assert len(line["request_id"]) <= 100
