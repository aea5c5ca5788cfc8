"""Calls that take minutes: the pings by which a client notices a dead peer must not end them."""

# ruff: noqa: N802  - rpc methods carry the names of the contract

import asyncio
from typing import Any

import grpc

from kejing.operations.v1 import audit_records_service_pb2 as messages
from kejing.operations.v1 import audit_records_service_pb2_grpc as audit_grpc
from services.shared.rpc import client, server

FASTER = 60
CALL_SECONDS = 6.0
"""Six minutes of the product's time; a server that minds the pings ends the call after five."""


class Slow(audit_grpc.AuditRecordsServiceServicer):
    async def VerifyAuditChain(self, request: Any, context: Any) -> messages.VerifyAuditChainResponse:
        await asyncio.sleep(CALL_SECONDS)
        return messages.VerifyAuditChainResponse()

    async def ListAuditRecords(self, request: Any, context: Any) -> messages.ListAuditRecordsResponse:
        return messages.ListAuditRecordsResponse()


def faster(options: list[tuple[str, int]]) -> list[tuple[str, int]]:
    return [(name, value // FASTER if name.endswith("_ms") else value) for name, value in options]


async def test_a_client_that_pings_hears_the_answer_of_a_long_call() -> None:
    running = grpc.aio.server(options=faster(server.OPTIONS))
    audit_grpc.add_AuditRecordsServiceServicer_to_server(Slow(), running)
    port = running.add_insecure_port("127.0.0.1:0")
    await running.start()
    # Without the last one the library itself holds pings back to one a minute.
    options = [*faster(client.OPTIONS), ("grpc.http2.max_pings_without_data", 0)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        call = audit_grpc.AuditRecordsServiceStub(channel).VerifyAuditChain
        assert await call(messages.VerifyAuditChainRequest()) == messages.VerifyAuditChainResponse()
    await running.stop(0)
