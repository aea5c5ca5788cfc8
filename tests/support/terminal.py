"""The `kejing` command as a person runs it, in a process of its own, against the services of this test run."""

import asyncio
import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from signal import Signals
from tempfile import TemporaryFile
from typing import Any

from tests.support.command_server import CommandServer
from tests.support.services import NAMES, RunningServices

COMMAND = [sys.executable, "-c", "from services.cli.main import run; run()"]
SECONDS = 60
command_server = cache(CommandServer)


class Terminal:
    """Runs commands. Without a home of its own it has the command key of the test's home, so that `--as` works."""

    def __init__(self, services: RunningServices, home: Path | None = None) -> None:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("KEJING_")}
        self.home = home or services.infrastructure.home.path
        self.environment = {
            **inherited,
            "KEJING_HOME": str(self.home),
            **{f"KEJING_{name.upper()}_ADDRESS": services.address(name) for name in NAMES},
        }

    async def run(self, *arguments: str, typed: str = "") -> tuple[int, str, str]:
        """Exit code, standard output, standard error. `typed`: standard input, which is no terminal."""
        with TemporaryFile() as given, TemporaryFile() as output, TemporaryFile() as error:
            given.write(typed.encode())
            given.seek(0)
            with command_server().start(arguments, self.environment, (given, output, error)) as ended:
                ended.setblocking(False)
                code = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(ended, 16), SECONDS)
            output.seek(0)
            error.seek(0)
            return int(code), output.read().decode(), error.read().decode()

    async def answer(self, *arguments: str, typed: str = "") -> str:
        """What a command prints that must succeed."""
        code, output, error = await self.run(*arguments, typed=typed)
        assert code == 0, error
        return output

    async def json(self, *arguments: str) -> Any:
        """What it prints with --json."""
        return json.loads(await self.answer(*arguments, "--json"))

    async def refusal(self, *arguments: str, typed: str = "") -> str:
        """What a command says on standard error that must be refused."""
        code, _, error = await self.run(*arguments, typed=typed)
        assert code == 1, error
        return error

    async def at_keyboard(self, *arguments: str, typed: Sequence[tuple[str, str | Signals]]) -> tuple[int, str]:
        """Exit code, and all that the terminal showed. `typed`: as at_keyboard below takes it."""
        return await asyncio.to_thread(at_keyboard, [*COMMAND, *arguments], self.environment, typed)


def at_keyboard(
    command: Sequence[str], environment: Mapping[str, str], typed: Sequence[tuple[str, str | Signals]]
) -> tuple[int, str]:
    """Runs a command with a terminal of its own. Raises AssertionError where a prompt doesn't come.

    Args:
        typed: after which words on the screen to type what; or which signal the keyboard gives then.
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command,
        env={**environment, "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown, answers, seen = "", list(typed), 0
    give_up = time.monotonic() + SECONDS
    try:
        while True:
            if answers and (found := shown.find(answers[0][0], seen)) >= 0:
                seen = found + len(answers[0][0])
                key = answers.pop(0)[1]
                if isinstance(key, Signals):
                    process.send_signal(key)
                else:
                    os.write(ours, f"{key}\n".encode())
            if not select.select([ours], [], [], max(0, give_up - time.monotonic()))[0]:
                raise AssertionError(f"the terminal waits: {shown}")
            try:
                piece = os.read(ours, 4096)
            except OSError:  # Linux' way to say that nobody holds the other end any more
                piece = b""
            if not piece:
                break
            shown += piece.decode(errors="replace")
        assert not answers, f"the prompt {answers[0][0]!r} never came: {shown}"
        return process.wait(SECONDS), shown
    finally:
        os.close(ours)
        if process.poll() is None:
            process.kill()
            process.wait()
