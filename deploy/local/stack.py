"""The supervisor of the embedded stack: starts every part, starts it again when it ends, stops all in order.

`kejing up` runs it at the terminal, `kejing up --detach` as `python -m deploy.local.stack`.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from deploy.local import parts, topology
from deploy.local.home import Home, HomeInUse
from deploy.local.ports import PortTaken, ensure_free
from deploy.local.process import Process, Program, StartFailed, created_at, end_leftover, rotate, run_to_end
from deploy.local.state import Part, State

PROBE_SECONDS = 5.0
BACKOFF_SECONDS = (0.2, 5.0)
STEADY_SECONDS = 30.0
"""A part that ran that long is started again at once when it ends."""
ATTEMPTS = 3
"""How often a part may fail before it was ever ready; then the whole start has failed."""


class Stack:
    """One home's stack.

    Args:
        on_change: told whenever the state has changed, after it was written to run/state.json.
    """

    def __init__(self, home: Home, on_change: Callable[[State], None] = lambda _: None) -> None:
        self.home = home
        self._on_change = on_change
        self._ports = topology.ports()
        self._told_to_stop = asyncio.Event()
        self._up: dict[str, asyncio.Event] = {}
        self._processes: dict[str, Process] = {}
        pid = os.getpid()
        self.state = State("starting", pid, created_at(pid) or 0.0, [])

    def stop(self) -> None:
        """Makes `run` end."""
        self._told_to_stop.set()

    async def run(self) -> None:
        """Runs the stack until `stop`, then ends every part.

        Raises:
            HomeInUse: another stack runs on this home.
            PortTaken, StartFailed: a part cannot be started; all others have been ended.
        """
        self.home.prepare(topology.MACHINES)
        with self.home.locked():
            await self._end_leftovers()
            secrets = self.home.secrets(topology.DATABASES, topology.EVENT_PUBLISHERS)
            servers = parts.infrastructure(self.home, secrets, self._ports)
            services = [parts.service(self.home, secrets, self._ports, which) for which in topology.SERVICES]
            migrations = parts.migrations(self.home)
            for program in (*servers, migrations, *services):
                self._add(program)
            outcome = "stopped"
            try:
                self._changed()
                # all of them before anything starts, so that a wrong start is over at once
                await asyncio.gather(*(ensure_free(port) for its_ports in self._ports.values() for port in its_ports))
                keepers = [
                    *(self._keep(program) for program in servers),
                    self._run_step(migrations),
                    *(self._keep(program, self._up[migrations.name]) for program in services),
                ]
                await self._supervise([asyncio.create_task(keeper) for keeper in keepers])
            except (PortTaken, StartFailed) as error:
                outcome, self.state.reason = "failed", str(error)
                raise
            finally:
                await self._end_all(services)
                await self._end_all(servers)
                for part in self.state.parts:
                    part.state = part.state if part.state in ("failed", "done") else "stopped"
                self.state.state = outcome
                self._changed()

    async def _supervise(self, keepers: Sequence[asyncio.Task[None]]) -> None:
        """Returns when told to stop; raises what made a keeper give up."""
        told = asyncio.create_task(self._told_to_stop.wait())
        ready = asyncio.create_task(self._note_ready())
        waiting: set[asyncio.Task[object]] = {told, *keepers}  # type: ignore[arg-type]
        try:
            while not told.done():
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            self.state.state = "stopping"
            self._changed()
            for task in (told, ready, *keepers):
                task.cancel()
            await asyncio.gather(told, ready, *keepers, return_exceptions=True)

    async def _note_ready(self) -> None:
        for event in self._up.values():
            await event.wait()
        self.state.state = "ready"
        self._changed()

    async def _run_step(self, program: Program) -> None:
        part = self.state.part(program.name)
        part.state = "starting"
        self._changed()
        await run_to_end(program)
        part.state = "done"
        self._up[program.name].set()
        self._changed()

    async def _keep(self, program: Program, after: asyncio.Event | None = None) -> None:
        """Starts the part, once `after` has happened, and starts it again whenever it ends.

        Raises:
            PortTaken, StartFailed: it never became ready.
        """
        if after:
            await after.wait()
        part, up = self.state.part(program.name), self._up[program.name]
        loop = asyncio.get_running_loop()
        failures, pause = 0, BACKOFF_SECONDS[0]
        part.state = "starting"
        while True:
            started = loop.time()
            try:
                await self._start(program, part)
                up.set()
                code = await self._watch(self._processes[program.name], part)
                part.reason = f"ended with code {code}"
            except (PortTaken, StartFailed) as error:
                failures += 1
                if not up.is_set() and (isinstance(error, PortTaken) or failures == ATTEMPTS):
                    part.state, part.reason = "failed", str(error)
                    raise
                part.reason = str(error)
            if process := self._processes.pop(program.name, None):
                process.kill()
                await process.wait()
            if loop.time() - started > STEADY_SECONDS:
                pause = BACKOFF_SECONDS[0]
            part.state, part.pid, part.created = "restarting", None, None
            part.restarts += 1
            self._changed()
            await asyncio.sleep(pause)
            pause = min(pause * 2, BACKOFF_SECONDS[1])

    async def _start(self, program: Program, part: Part) -> None:
        process = self._processes[program.name] = await Process.start(program)
        part.pid, part.created = process.pid, process.created
        self._changed()
        await process.wait_ready()
        part.state, part.reason = "ready", ""
        self._changed()

    async def _watch(self, process: Process, part: Part) -> int:
        """Returns the exit code once the process has ended; notes meanwhile whether it still answers, and keeps its log
        short.
        """
        ended = asyncio.create_task(process.wait())
        misses = 0
        try:
            while True:
                done, _ = await asyncio.wait([ended], timeout=PROBE_SECONDS)
                if done:
                    return ended.result()
                with suppress(OSError):  # a full disk is no reason to end what runs
                    rotate(process.program.log)
                misses = 0 if await process.program.ready() else misses + 1
                state = "silent" if misses >= 2 else "ready"
                if state != part.state and not ended.done():
                    part.state, part.reason = state, "" if state == "ready" else "runs, but does not answer"
                    self._changed()
        finally:
            ended.cancel()

    async def _end_all(self, programs: Sequence[Program]) -> None:
        await asyncio.gather(*(self._end(program.name) for program in programs))

    async def _end(self, name: str) -> None:
        if process := self._processes.pop(name, None):
            await process.stop()
        part = self.state.part(name)
        part.pid = part.created = None
        part.state = part.state if part.state == "failed" else "stopped"
        self._changed()

    async def _end_leftovers(self) -> None:
        """Ends what a stack that was killed has left: its parts were asked to end when it died, and may be slow."""
        if last := State.read(self.home.state):
            for part in last.parts:
                if part.pid and part.created:
                    await asyncio.to_thread(end_leftover, part.pid, part.created)

    def _add(self, program: Program) -> None:
        addresses = {port.purpose: f"{topology.HOST}:{port.number}" for port in program.ports}
        self.state.parts.append(Part(program.name, addresses=addresses))
        self._up[program.name] = asyncio.Event()

    def _changed(self) -> None:
        self.state.write(self.home.state)
        self._on_change(self.state)


async def run(home: Home, on_change: Callable[[State], None] = lambda _: None) -> None:
    """Runs the stack until SIGINT, SIGTERM or SIGHUP. Raises as Stack.run."""
    stack = Stack(home, on_change)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stack.stop)
    await stack.run()


def main() -> None:
    try:
        asyncio.run(run(Home.from_environment()))
    except (HomeInUse, PortTaken, StartFailed, topology.WrongPortBase) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
