"""Starting, watching and ending one program of the stack."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from deploy.local.ports import Port, ensure_free

ROTATE_BYTES = 20 * 1024 * 1024
SOURCE_ROOT = Path(__file__).parents[2]
WITHHELD = ("KEJING_OIDC_", "KEJING_TOKEN")
"""Settings that a program gets only where its own environment names them: secrets are told to who needs them."""


def _inherited() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(WITHHELD)}


async def at_once() -> bool:
    """Readiness of a program that needs none."""
    return True


@dataclass(frozen=True)
class Program:
    """What is needed to run one part.

    Attributes:
        ports: what it listens on, checked to be free before the start.
        ready: answers whether the part can be used now; must not raise.
        log: takes stdout and stderr.
        environment: added to the environment of the stack.
        prepare: runs before each start, e.g. to write a configuration file.
        settle: runs when it answers, before it counts as ready.
        stop_signal: asks it to end; sent also when the stack itself dies.
        stop_seconds: after which it is killed.
        start_seconds: within which it must be ready.
        user: id it runs as; None: as the stack itself.
    """

    name: str
    command: Sequence[str]
    log: Path
    ready: Callable[[], Awaitable[bool]] = at_once
    ports: Sequence[Port] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], Awaitable[None]] | None = None
    settle: Callable[[], Awaitable[None]] | None = None
    stop_signal: int = signal.SIGTERM
    stop_seconds: float = 10.0
    start_seconds: float = 60.0
    user: int | None = None


class StartFailed(RuntimeError):
    """A part ended before it was ready, or was not ready in time; the message holds the end of its log."""

    def __init__(self, name: str, reason: str, log: Path) -> None:
        super().__init__(f"{name} {reason}; the end of {log}:\n{tail(log, 15)}")
        self.name = name


class Process:
    """A running program."""

    def __init__(self, program: Program, process: asyncio.subprocess.Process) -> None:
        self.program = program
        self.pid = process.pid
        self.created = created_at(process.pid) or 0.0
        self._process = process

    @classmethod
    async def start(cls, program: Program) -> "Process":
        """Starts the program; it ends by itself when this process dies.

        Raises:
            PortTaken: somebody else listens on one of its ports.
        """
        for port in program.ports:
            await ensure_free(port)
        if program.prepare:
            await program.prepare()
        rotate(program.log)
        launch = (sys.executable, "-IS", str(Path(__file__).with_name("launch.py")))
        user = -1 if program.user is None else program.user
        with program.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *launch, str(int(program.stop_signal)), str(user), *program.command,
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, cwd=SOURCE_ROOT,
                env={**_inherited(), **program.environment},
                start_new_session=True,  # Ctrl-C at the terminal must not reach it before those that depend on it
            )  # fmt: skip
        return cls(program, process)

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def wait(self) -> int:
        """Waits for its end and answers the exit code (negative: the signal)."""
        return await self._process.wait()

    async def wait_ready(self) -> None:
        """Returns when the part can be used.

        Raises:
            StartFailed: it ended, or was not ready in time.
        """
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self.program.start_seconds
        while not await self.program.ready():
            if not self.alive:
                raise StartFailed(self.program.name, f"ended with code {self._process.returncode}", self.program.log)
            if loop.time() > give_up:
                reason = f"was not ready within {self.program.start_seconds:.0f} s"
                raise StartFailed(self.program.name, reason, self.program.log)
            await asyncio.sleep(0.05)
        if self.program.settle:
            await self.program.settle()

    async def stop(self) -> None:
        """Asks it to end, and kills it when it does not in time."""
        with suppress(ProcessLookupError):
            self._process.send_signal(self.program.stop_signal)
        try:
            await asyncio.wait_for(self._process.wait(), self.program.stop_seconds)
        except TimeoutError:
            self.kill()
            await self._process.wait()

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()


async def run_to_end(program: Program) -> None:
    """Runs a program that ends by itself.

    Raises:
        StartFailed: it ended with an error, or not within `start_seconds`.
    """
    process = await Process.start(program)
    try:
        code = await asyncio.wait_for(process.wait(), program.start_seconds)
    except TimeoutError:
        raise StartFailed(program.name, f"did not end within {program.start_seconds:.0f} s", program.log) from None
    finally:
        process.kill()
    if code:
        raise StartFailed(program.name, f"ended with code {code}", program.log)


def created_at(pid: int) -> float | None:
    """When the process was created (seconds since the epoch); None when there is none."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None


def is_running(pid: int, created: float) -> bool:
    """Whether the very process still runs, not a later one with the same number."""
    now = created_at(pid)
    try:
        return now is not None and abs(now - created) < 1.0 and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def end_leftover(pid: int, created: float, seconds: float = 10.0) -> None:
    """Ends a process that a dead stack left behind; it was already asked to end when the stack died."""
    if not is_running(pid, created):
        return
    process = psutil.Process(pid)
    try:
        process.wait(seconds)
    except psutil.TimeoutExpired:
        with suppress(psutil.Error):
            process.kill()
            process.wait(5)


def rotate(log: Path) -> None:
    """Copies a log of more than 20 MB aside, to NAME.log.1, and empties it; whoever appends to it may go on."""
    if log.exists() and log.stat().st_size > ROTATE_BYTES:
        shutil.copyfile(log, log.with_name(log.name + ".1"))
        os.truncate(log, 0)


def tail(log: Path, lines: int) -> str:
    """The last lines of a log; empty when it does not exist."""
    if not log.exists():
        return ""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - 256 * 1024))
        return "\n".join(stream.read().decode(errors="replace").splitlines()[-lines:])
