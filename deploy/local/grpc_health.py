"""Asking a gRPC server whether it serves (grpc.health.v1)."""

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


async def serving(address: str, service: str = "") -> bool:
    """Whether the server at host:port says SERVING for `service` (empty: the server as a whole) within 2 s."""
    async with grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service=service), timeout=2
            )
        except grpc.aio.AioRpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
