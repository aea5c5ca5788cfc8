"""The whole stack as a user starts it, for tests: by the `kejing` command, in a home and on ports of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any

import psutil

from deploy.local import topology
from deploy.local.home import Home
from deploy.local.state import State
from tests.support.ports import free_port_base

KEJING = Path(sys.executable).with_name("kejing")


class LocalStack:
    """A home with its port base; `up` and `down` as often as a test wants."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home")
        self.port_base = free_port_base()
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("KEJING_")}
        self.environment = {
            **inherited,
            "KEJING_HOME": str(self.home.path),
            "KEJING_PORT_BASE": str(self.port_base),
        }

    def kejing(self, *arguments: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """Runs a command of the command line; its output and exit code are in the answer."""
        return subprocess.run(
            [str(KEJING), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def answer(self, *arguments: str) -> Any:
        """What a command prints that is given --json. Raises AssertionError where it is refused."""
        done = self.kejing(*arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def with_environment(self, **settings: str) -> "LocalStack":
        """The same stack, called with other settings."""
        other = copy(self)
        other.environment = {**self.environment, **settings}
        return other

    def up(self) -> str:
        """What the command said, when everything is ready. Raises AssertionError with it when it isn't."""
        done = self.kejing("up", "--detach", seconds=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def down(self) -> None:
        done = self.kejing("down", seconds=120)
        assert done.returncode == 0, done.stdout + done.stderr

    def status(self, wait: float = 0) -> dict[str, Any]:
        """What `kejing status --json` prints; waits up to `wait` seconds for everything to be ready."""
        answer: dict[str, Any] = json.loads(self.kejing("status", "--wait", str(wait), "--json").stdout)
        return answer

    def address(self, part: str) -> str:
        """host:port of a part."""
        return f"{topology.HOST}:{topology.ports(self.environment)[part][0].number}"

    def pid(self, part: str) -> int:
        """The process of a part. Raises AssertionError while it doesn't run."""
        state = State.read(self.home.state)
        pid = state.part(part).pid if state else None
        assert pid is not None, f"{part} does not run"
        return pid

    def kill(self, part: str) -> int:
        """kill -9 of a part, which the supervisor starts again; answers the pid that it had."""
        pid = self.pid(part)
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_restarted(self, part: str, killed: int, seconds: float = 60) -> None:
        """Returns when the part is ready again in another process than `killed`. Raises AssertionError in vain."""
        give_up = time.monotonic() + seconds
        while True:
            state = State.read(self.home.state)
            assert state is not None
            now = state.part(part)
            if now.ready and now.pid not in (None, killed):
                return
            assert time.monotonic() < give_up, f"{part} is {now.state}: {now.reason}"
            time.sleep(0.05)

    def end(self) -> None:
        """Ends everything that still runs, orderly or not; for the end of a test that may have failed."""
        state = State.read(self.home.state)
        if state is None:
            return
        self.kejing("down", seconds=120)
        for pid, created in [(state.pid, state.created), *((p.pid, p.created) for p in state.parts)]:
            if pid and psutil.pid_exists(pid) and abs(psutil.Process(pid).create_time() - (created or 0)) < 1:
                os.kill(pid, signal.SIGKILL)


@contextmanager
def local_stack() -> Iterator[LocalStack]:
    """A stack that isn't up yet, in a temporary home; whatever runs of it ends, and the home goes."""
    folder = Path(tempfile.mkdtemp(prefix="kejing-e2e-"))
    stack = LocalStack(folder)
    try:
        yield stack
    finally:
        stack.end()
        shutil.rmtree(folder, ignore_errors=True)
