"""Real Postgres, NATS and Temporal for tests: started on free ports in a temporary home when a test first asks.

The servers end with the tests, by the kernel's hand even when the tests are killed.
"""

import asyncio
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from deploy.local import nats, postgres, temporal, topology
from deploy.local.home import Home
from deploy.local.ports import Port, PortTaken
from deploy.local.process import Process, Program, StartFailed
from services.shared.db.migrate import upgrade
from tests.support.eventually import eventually
from tests.support.ports import free_port

STORAGE = {service.name: service.storage for service in topology.SERVICES if service.database}


class TestInfrastructure:
    """The servers of one test session, each started once, when it is first asked for."""

    __test__ = False

    def __init__(self) -> None:
        self.home = Home(Path(tempfile.mkdtemp(prefix="kejing-test-")))
        self.home.prepare(topology.MACHINES)
        self._secrets = self.home.secrets(topology.DATABASES, topology.EVENT_PUBLISHERS)
        self._processes: dict[str, Process] = {}
        self._urls: dict[str, str] = {}
        self._templates: set[str] = set()
        # one thing at a time: two tests that ask at once must not start a server twice, or copy a template in use
        self._starting = asyncio.Lock()
        self._creating = asyncio.Lock()

    @property
    def command_key_file(self) -> Path:
        """Ed25519 private key that proves to `identity` that its bearer owns the home."""
        return self.home.command_key

    def machine_key_file(self, name: str) -> Path:
        """Ed25519 private key by which the machine `name` proves itself."""
        return self.home.machine_key(name)

    async def database_url(self, service: str) -> str:
        """URL of a migrated database of the service, as its own role; the same one for the whole session."""
        if service not in self._urls:
            self._urls[service] = await self._create(service, f"session_{service}", f"kejing_{service}")
        return self._urls[service]

    @asynccontextmanager
    async def new_database(self, service: str, *, migrated: bool = True) -> AsyncIterator[str]:
        """URL of a database of its own for a test, as the service's role; dropped afterwards.

        Args:
            migrated: with the newest schema; else empty but for the extensions.
        """
        name = f"test_{service}_{uuid.uuid4().hex[:12]}"
        url = await self._create(service, name, f"kejing_{service}" if migrated else "template1")
        try:
            yield url
        finally:
            drop = sql.SQL("drop database {} with (force)").format(sql.Identifier(name))
            await asyncio.to_thread(self._as_superuser, drop)

    async def nats_url(self, user: str) -> str:
        """URL by which the service `user` connects; it may publish on kejing.<user>.> only."""
        process = await self._started("nats")
        return nats.url(user, self._secrets.events[user], process.program.ports[0].number)

    async def temporal_address(self) -> str:
        """host:port of a server with all search attributes; the clock of single workflows can be moved."""
        process = await self._started("temporal")
        return f"{topology.HOST}:{process.program.ports[0].number}"

    async def kill(self, part: str) -> None:
        """kill -9 of postgres, nats or temporal."""
        self._processes[part].kill()
        await self._processes[part].wait()

    async def restart(self, part: str) -> None:
        """Starts a killed part again, on the same port with the same data; as the stack does, as often as it takes:
        children of a killed Postgres live on for a moment, with its port and its shared memory."""

        async def runs() -> bool:
            try:
                self._processes[part] = await _run(self._processes[part].program)
            except (PortTaken, StartFailed):
                return False
            return True

        await eventually(runs, within=60)

    async def close(self) -> None:
        """Ends the servers and removes the temporary home."""
        for part, process in self._processes.items():
            if part == "postgres":
                await process.stop()  # so that its sessions have ended before their files go
            else:
                process.kill()
                await process.wait()
        await asyncio.to_thread(shutil.rmtree, self.home.path, ignore_errors=True)

    async def _create(self, service: str, name: str, template: str) -> str:
        """Makes a database, owned by the service's role, and answers its URL."""
        postgres_port = (await self._started("postgres")).program.ports[0].number
        password = self._secrets.databases[service]
        async with self._creating:
            if template != "template1" and template not in self._templates:
                url = postgres.database_url(service, password, postgres_port)
                await asyncio.to_thread(upgrade, url, STORAGE[service])
                self._templates.add(template)
            create = sql.SQL("create database {} template {} owner {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(template), sql.Identifier(f"kejing_{service}")
            )
            await asyncio.to_thread(self._as_superuser, create)
        return postgres.database_url(service, password, postgres_port, name)

    def _as_superuser(self, statement: sql.Composed) -> None:
        port = self._processes["postgres"].program.ports[0].number
        with psycopg.connect(
            host=topology.HOST, port=port, user=postgres.SUPERUSER, password=self._secrets.superuser,
            dbname="postgres", autocommit=True,
        ) as connection:  # fmt: skip
            connection.execute(statement)

    async def _started(self, part: str) -> Process:
        async with self._starting:
            if part not in self._processes:
                process = self._processes[part] = await _run(self._program(part))
                if part == "postgres":
                    port = process.program.ports[0].number
                    databases = {name: self._secrets.databases[name] for name in topology.DATABASES}
                    await asyncio.to_thread(postgres.provision, port, self._secrets.superuser, databases)
                if part == "temporal":
                    await _register_search_attributes(process.program.ports[0].number)
        return self._processes[part]

    def _program(self, part: str) -> Program:
        folder, log = self.home.path / part, self.home.log(part)
        ports = [Port(part, purpose, free_port()) for owner, purpose in topology.INFRASTRUCTURE_PORTS if owner == part]
        match part:
            case "postgres":
                return postgres.program(folder, ports[0], log, self._secrets.superuser, volatile=True)
            case "nats":
                return nats.program(folder, ports[0], log, self._secrets.events)
            case "temporal":
                return temporal.program(folder, ports, log, virtual_clock=True)
        raise KeyError(part)


async def _run(program: Program) -> Process:
    process = await Process.start(program)
    await process.wait_ready()
    return process


async def _register_search_attributes(port: int) -> None:
    from temporalio.client import Client

    from workflows.names import register_search_attributes

    await register_search_attributes(await Client.connect(f"{topology.HOST}:{port}"))


@pytest.fixture(scope="session")
async def infrastructure() -> AsyncIterator[TestInfrastructure]:
    """Real servers, started when asked for; import this into tests/conftest.py."""
    servers = TestInfrastructure()
    try:
        yield servers
    finally:
        await servers.close()
