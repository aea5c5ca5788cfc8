"""The process that runs workflows: workers, triggers, sweep, schedules, and ProcessesService.

It serves once the workers run; Temporal, NATS and the services may come up after it and go away while it runs.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from nats.aio.client import Client as Nats
from temporalio.client import Client, GrpcCompression
from temporalio.service import RPCError
from temporalio.worker import Worker

from services.shared.clock import utc_now
from services.shared.logging import get_logger
from services.shared.messaging.broker import connect
from services.shared.rpc.client import fetch_public_keys
from services.shared.rpc.server import Server, contract_of
from services.shared.rpc.tokens import TokenVerifier
from services.shared.runtime import end, run_process
from workflows.api.door import GrantedByTasks
from workflows.api.processes_service import ProcessesServicer
from workflows.clients import Clients
from workflows.names import register_search_attributes
from workflows.rebuild import run_rebuild
from workflows.schedules import ensure_schedules
from workflows.settings import WorkflowsSettings
from workflows.sweep import run_sweep
from workflows.triggers import Triggers
from workflows.worker import workers

NAME = "processes"


class Processes:
    """The parts of the process, in the order in which they start; they stop in the reverse order."""

    def __init__(self, settings: WorkflowsSettings, temporal: Client) -> None:
        self._settings = settings
        self._temporal = temporal
        self._clients = Clients(settings)
        self._nats = Nats()
        self._workers = workers(temporal, self._clients)
        zone = settings.business_time_zone
        servicer = ProcessesServicer(temporal, self._clients, zone.key, utc_now)
        self.server = Server(
            settings.bind,
            # Known keys are not asked for anew: tasks, to whom every order is put first, refuses withdrawn ones.
            TokenVerifier(lambda: fetch_public_keys(self._clients.identity)),
            GrantedByTasks(self._clients.records_for_caller, contract_of(servicer)[0]),
            [servicer],
        )
        self._running: list[asyncio.Task[None]] = []
        self._loops: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self.server.start()
        await self._prepare_temporal()
        self._running = [asyncio.create_task(_run(worker)) for worker in self._workers]
        zone, clients = self._settings.business_time_zone, self._clients
        loops: list[Coroutine[Any, Any, None]] = [
            self._events(),
            run_rebuild(self._temporal, self._nats, clients, zone),
            run_sweep(self._temporal, clients, zone.key, utc_now),
        ]
        self._loops = [asyncio.create_task(loop) for loop in loops]
        await self.server.ready()

    async def _prepare_temporal(self) -> None:
        """Registers what workflows and operators need, for as long as Temporal takes to answer."""
        while True:
            try:
                await register_search_attributes(self._temporal)
                await ensure_schedules(self._temporal, self._settings.business_time_zone)
                return
            except RPCError as error:
                get_logger().warning("temporal is away", status=error.status.name, error=error.message[:300])
                await asyncio.sleep(0.5)

    async def failed(self) -> None:
        """Returns never, unless a part that should run for ever has ended: then raises what ended it."""
        done, _ = await asyncio.wait([*self._running, *self._loops], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        raise RuntimeError(f"a part of {NAME} ended by itself")

    async def stop(self) -> None:
        await self.server.stop()
        await end(self._loops)
        await asyncio.gather(*(worker.shutdown() for worker in self._workers), return_exceptions=True)
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._nats.close()
        await self._clients.close()

    async def _events(self) -> None:
        await connect(self._nats, self._settings.nats_url.get_secret_value(), NAME)
        await Triggers(self._temporal, self._nats, self._clients, self._settings.business_time_zone.key).run()


async def _run(worker: Worker) -> None:
    await worker.run()


async def connect_temporal(settings: WorkflowsSettings) -> Client:
    """A client of Temporal; waits for as long as Temporal takes to come up."""
    while True:
        try:
            return await Client.connect(
                settings.temporal_address,
                namespace=settings.temporal_namespace,
                grpc_compression=GrpcCompression.NONE,  # on one machine it costs more than it saves
            )
        except (RPCError, RuntimeError) as error:
            get_logger().warning("temporal is away", error=str(error)[:300])
            await asyncio.sleep(0.5)


def main() -> None:
    settings = WorkflowsSettings()  # type: ignore[call-arg]  # from the environment

    async def start() -> Processes:
        return Processes(settings, await connect_temporal(settings))

    run_process(NAME, settings.log_format, start)


if __name__ == "__main__":
    main()
