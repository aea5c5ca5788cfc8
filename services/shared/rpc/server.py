"""The gRPC server of a process: its services, health and reflection behind one interceptor."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from kejing.common.v1 import options_pb2
from services.shared.access.directory import Grants
from services.shared.rpc.interceptor import CallInterceptor, Rule
from services.shared.rpc.tokens import TokenVerifier

GRACE_SECONDS = 8.0
OPTIONS = [
    ("grpc.so_reuseport", 0),  # a second process on the port must fail, not share it
    ("grpc.http2.min_ping_interval_without_data_ms", 30_000),  # clients ping each minute while a call is under way
    ("grpc.keepalive_permit_without_calls", 1),
]


class Server:
    """Listens on `bind` (host:port; port 0 takes a free one). Raises RuntimeError where the port is taken.

    `servicers` are instances of subclasses of the generated …Servicer classes.
    """

    def __init__(self, bind: str, verifier: TokenVerifier, grants: Grants, servicers: Sequence[object]) -> None:
        contracts = [contract_of(servicer) for servicer in servicers]
        interceptor = CallInterceptor(verifier, grants, declared_rules([descriptor for descriptor, _ in contracts]))
        self._server = grpc.aio.server(interceptors=[interceptor], options=OPTIONS, maximum_concurrent_rpcs=1000)
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        for servicer, (_, add) in zip(servicers, contracts, strict=True):
            add(servicer, self._server)
        self._names = [descriptor.full_name for descriptor, _ in contracts]
        reflection.enable_server_reflection([*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server)
        self.port = self._server.add_insecure_port(bind)
        if self.port == 0:
            raise RuntimeError(f"{bind} is taken by another process")

    async def start(self) -> None:
        """Answers calls from now on; says NOT_SERVING until `ready`."""
        for name in ["", *self._names]:
            await self._health.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._server.start()

    async def ready(self) -> None:
        for name in ["", *self._names]:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self) -> None:
        """Says NOT_SERVING, refuses new calls, lets running ones end."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(GRACE_SECONDS)


def contract_of(servicer: object) -> tuple[ServiceDescriptor, Callable[[Any, Any], None]]:
    """The service that a servicer implements, and the generated function that adds it to a server.

    Raises TypeError for what is no servicer.
    """
    for generated in type(servicer).__mro__:
        if generated.__module__.endswith("_pb2_grpc"):
            messages = importlib.import_module(generated.__module__.removesuffix("_grpc"))
            stubs = importlib.import_module(generated.__module__)
            descriptor = messages.DESCRIPTOR.services_by_name[generated.__name__.removesuffix("Servicer")]
            return descriptor, getattr(stubs, f"add_{generated.__name__}_to_server")
    raise TypeError(f"{type(servicer).__name__} implements no service of the contracts")


def declared_rules(descriptors: Sequence[ServiceDescriptor]) -> dict[str, Rule]:
    """Who may call each rpc. Raises TypeError for an rpc that lets nobody in."""
    rules: dict[str, Rule] = {}
    for service in descriptors:
        for method in service.methods:
            rule = Rule.of(method.GetOptions().Extensions[options_pb2.access])
            if not (rule.public or rule.permission or rule.machines or rule.any_machine):
                raise TypeError(f"{service.full_name}.{method.name} does not declare who may call it")
            rules[f"/{service.full_name}/{method.name}"] = rule
    return rules
