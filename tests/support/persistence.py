"""Calls as a careful client makes them: sent again, with the same request_id, until they are answered."""

import asyncio
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import grpc

from kejing.customers.v1 import customers_service_pb2 as customers
from kejing.customers.v1 import customers_service_pb2_grpc as customers_grpc
from kejing.customers.v1 import imports_service_pb2 as imports
from kejing.customers.v1.imports_service_pb2_grpc import ImportsServiceStub
from kejing.identity.v1 import sessions_service_pb2, sessions_service_pb2_grpc
from services.shared.rpc.assertion import assertion
from services.shared.rpc.client import AsMachine, MachineToken, channel

AGAIN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.ABORTED}
PATIENCE_SECONDS = 120.0


class PersistentClient:
    """Calls the services of a stack as one employee. `address` answers host:port of a part."""

    def __init__(self, address: Any, command_key: Path, login: str = "admin") -> None:
        self._address = address
        self._command_key = command_key
        self._login = login
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._token = ""

    async def get(self) -> str:
        """The employee's access token; signs in when first asked."""
        if not self._token:
            stub = sessions_service_pb2_grpc.SessionsServiceStub(channel(self._address("identity")))
            proof = assertion(self._command_key, f"employee:{self._login}")
            self._token = (await stub.SignIn(sessions_service_pb2.SignInRequest(assertion=proof))).access_token
        return self._token

    def forget(self, _token: str) -> bool:
        return False

    def stub(self, stub_class: Any, part: str = "") -> Any:
        """A stub of the service that the contract belongs to, or of `part`."""
        part = part or stub_class.__module__.split(".")[1]
        if part not in self._channels:
            self._channels[part] = channel(self._address(part), AsMachine(cast(MachineToken, self)))
        return stub_class(self._channels[part])

    async def ask(self, method: Any, request: Any) -> Any:
        """The answer to `request`, however often it must be sent; another refusal than "try again" is raised."""
        give_up = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while True:
            try:
                return await method(request, timeout=8)
            except grpc.aio.AioRpcError as error:
                if error.code() not in AGAIN or asyncio.get_running_loop().time() > give_up:
                    raise
            await asyncio.sleep(0.1)

    async def close(self) -> None:
        for open_channel in self._channels.values():
            await open_channel.close()


async def a_customer(client: PersistentClient) -> str:
    """The id of the customer Acme, imported as all customers are; the same one when it is asked for again."""
    await bring(client, imports.IMPORT_KIND_CUSTOMERS, ["external_id", "name"], [["C-1", "Acme"]])
    stub = client.stub(customers_grpc.CustomersServiceStub)
    listed = await stub.ListCustomers(
        customers.ListCustomersRequest(filter=customers.CustomerFilter(name_prefix="Acme"))
    )
    customer_id: str = listed.customers[0].id
    return customer_id


async def bring(
    client: PersistentClient, kind: imports.ImportKind.ValueType, fields: Sequence[str], rows: Sequence[Sequence[str]]
) -> imports.Import:
    """Imports rows of these fields and answers when they are in."""
    stub = client.stub(ImportsServiceStub)
    text = io.StringIO()
    csv.writer(text).writerows([fields, *rows])
    mapping = imports.Mapping(columns={name: imports.ColumnMapping(column=name) for name in fields})
    start = imports.ImportStart(request_id=str(uuid4()), source="test", kind=kind, mapping=mapping)
    parts = [imports.UploadFileRequest(start=start), imports.UploadFileRequest(data=text.getvalue().encode())]
    metadata = (("authorization", f"Bearer {await client.get()}"),)  # a stream passes by the channel's interceptors
    run = getattr(await stub.UploadFile(iter(parts), metadata=metadata), "import")
    async for told in stub.WatchImport(imports.WatchImportRequest(import_id=run.id), metadata=metadata):
        run = getattr(told, "import")
    return run  # type: ignore[no-any-return]
