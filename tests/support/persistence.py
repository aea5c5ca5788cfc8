"""Calls as a careful client makes them: sent again, with the same request_id, until they are answered."""

import asyncio
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import grpc

from kejing.customers.v1 import customers_service_pb2 as customers
from kejing.customers.v1 import customers_service_pb2_grpc as customers_grpc
from kejing.customers.v1 import import_pb2
from kejing.identity.v1 import sessions_service_pb2, sessions_service_pb2_grpc
from services.shared.rpc.client import AsMachine, MachineToken, assertion, channel

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
    stub = client.stub(customers_grpc.CustomersServiceStub)
    columns = {"external_id": import_pb2.ColumnMapping(column="id"), "name": import_pb2.ColumnMapping(column="name")}
    start = import_pb2.ImportStart(request_id=str(uuid4()), source="test", mapping=import_pb2.Mapping(columns=columns))
    parts = [
        customers.ImportCustomersRequest(start=start),
        customers.ImportCustomersRequest(data=b"id,name\nC-1,Acme\n"),
    ]
    metadata = (("authorization", f"Bearer {await client.get()}"),)  # a stream passes by the channel's interceptors
    await stub.ImportCustomers(iter(parts), metadata=metadata)
    listed = await stub.ListCustomers(customers.ListCustomersRequest(name_prefix="Acme"))
    customer_id: str = listed.customers[0].id
    return customer_id
