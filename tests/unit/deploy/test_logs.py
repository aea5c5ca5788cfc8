"""Logs of parts that run for months."""

import asyncio
from pathlib import Path

import pytest

from deploy.local import process, stack
from deploy.local.home import Home
from deploy.local.process import Process, Program
from deploy.local.stack import Stack
from deploy.local.state import Part
from tests.support.eventually import eventually


async def test_a_long_log_is_begun_anew_while_its_part_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "ROTATE_BYTES", 10)
    monkeypatch.setattr(stack, "PROBE_SECONDS", 0.05)
    log, aside, go_on = tmp_path / "part.log", tmp_path / "part.log.1", tmp_path / "go on"
    script = 'echo "a long first line"; until [ -e "$0" ]; do sleep 0.05; done; echo later; exec sleep 60'
    running = await Process.start(Program("part", ["/bin/sh", "-c", script, str(go_on)], log))
    watching = asyncio.create_task(Stack(Home(tmp_path / "home"))._watch(running, Part("part", state="ready")))
    try:

        async def moved() -> bool:
            return aside.exists() and not log.read_text()

        await eventually(moved)
        assert aside.read_text() == "a long first line\n"
        go_on.touch()

        async def later() -> bool:
            return log.read_text() == "later\n"

        await eventually(later)
        assert not watching.done()
    finally:
        watching.cancel()
        await running.stop()
