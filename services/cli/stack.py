"""`kejing up`, `down`, `status` and `logs`: the embedded stack of this home."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Annotated

import typer

from deploy.local import topology
from deploy.local.home import Home
from deploy.local.state import State
from services.cli.failure import CommandFailed
from services.cli.options import Json

app = typer.Typer()
DETACHED_SECONDS = 900.0
"""A start that has to make databases on a slow machine ends within that; each part has its own, shorter limit."""


@app.command()
def up(
    detach: Annotated[bool, typer.Option("--detach", help="Return when everything is ready; keep it running.")] = False,
) -> None:
    """Start Postgres, NATS, Temporal, all services and workers on this machine, and keep them running."""
    home = Home.from_environment()
    if detach:
        _start_detached(home)
        _tell_first_password(home, print)
    else:
        _run_here(home)


@app.command()
def down() -> None:
    """Stop the stack of this home; its data stays."""
    home = Home.from_environment()
    state = running(home)
    if state is None:
        print(f"nothing runs on {home.path}")
        return
    os.kill(state.pid, signal.SIGTERM)
    give_up = time.monotonic() + 90
    while running(home):
        if time.monotonic() > give_up:
            raise CommandFailed(f"the stack (process {state.pid}) did not end within 90 s")
        time.sleep(0.1)
    print(f"stopped; the data stays in {home.path}")


@app.command()
def status(
    wait: Annotated[float, typer.Option(metavar="SECONDS", help="Wait that long for everything to be ready.")] = 0.0,
    as_json: Json = False,
) -> None:
    """Show what runs where, with its memory; exit 0 when everything is ready."""
    home = Home.from_environment()
    give_up = time.monotonic() + wait
    state = running(home)
    while not (state and state.ready) and time.monotonic() < give_up:
        time.sleep(0.1)
        state = running(home)
    if state is None:
        if as_json:
            print(json.dumps({"home": str(home.path), "state": "stopped", "ready": False, "parts": []}))
        else:
            print(f"nothing runs on {home.path}")
        raise typer.Exit(1)
    from services.cli.stack_view import as_dict, table

    if as_json:
        print(json.dumps(as_dict(home, state), indent=2, ensure_ascii=False))
    else:
        from services.cli.output import console

        console().print(table(home, state, memory=True))
    raise typer.Exit(0 if state.ready else 1)


@app.command()
def logs(
    name: Annotated[str, typer.Argument(help="A part, as `kejing status` names it, or supervisor.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing what is added.")] = False,
    lines: Annotated[int, typer.Option("-n", min=0, help="How many lines of the end.")] = 100,
) -> None:
    """Print the end of a part's log."""
    from deploy.local.process import tail

    home = Home.from_environment()
    log = home.log(name)
    if "/" in name or not log.exists():
        known = sorted(path.stem for path in log.parent.glob("*.log"))
        raise CommandFailed(f"there is no log of {name!r}; there are {', '.join(known) or 'none yet'}")
    end = log.stat().st_size
    if text := tail(log, lines):
        print(text)
    while follow:
        sys.stdout.flush()
        time.sleep(0.2)
        if log.stat().st_size < end:  # it was moved aside and begun anew
            end = 0
        with log.open("rb") as stream:
            stream.seek(end)
            sys.stdout.write(stream.read().decode(errors="replace"))
            end = stream.tell()


def running(home: Home) -> State | None:
    """The state of the stack that runs on the home; None when none does."""
    from deploy.local.process import is_running

    state = State.read(home.state)
    return state if state and is_running(state.pid, state.created) else None


def _start_detached(home: Home) -> None:
    from deploy.local.process import rotate

    if state := running(home):
        print(f"a stack already runs on {home.path} (process {state.pid})")
        _wait_ready(home, state.pid, state.created)
        return
    home.prepare(topology.MACHINES)
    log = home.log("supervisor")
    rotate(log)
    with log.open("ab") as output:
        begin = output.tell()
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "deploy.local.stack"],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    while (state := State.read(home.state)) is None or state.pid != supervisor.pid:
        if supervisor.poll() is not None:
            raise CommandFailed(f"the stack did not start: {log.read_bytes()[begin:].decode(errors='replace').strip()}")
        time.sleep(0.05)
    _wait_ready(home, state.pid, state.created)


def _wait_ready(home: Home, pid: int, created: float) -> None:
    from deploy.local.process import is_running
    from services.cli.output import console
    from services.cli.stack_view import table

    give_up = time.monotonic() + DETACHED_SECONDS
    while True:
        alive = is_running(pid, created)  # asked first, so that the state read next holds its last word
        state = State.read(home.state)
        if state is None or not alive:
            raise CommandFailed(f"the stack did not start: {state.reason if state else home.log('supervisor')}")
        if state.ready:
            console().print(table(home, state, memory=False))
            return
        if time.monotonic() > give_up:
            waiting = ", ".join(f"{part.name} {part.state}" for part in state.parts if not part.ready)
            raise CommandFailed(f"not ready after {DETACHED_SECONDS:.0f} s: {waiting}; see `kejing logs`")
        time.sleep(0.1)


def _run_here(home: Home) -> None:
    import asyncio
    from threading import Thread

    from deploy.local import stack
    from deploy.local.home import HomeInUse
    from deploy.local.ports import PortTaken
    from deploy.local.process import StartFailed
    from services.cli.stack_view import live

    told = False

    try:
        with live(home) as (show, say):

            def shown(state: State) -> None:
                nonlocal told
                show(state)
                if state.ready and say and not told:
                    told = True
                    Thread(target=_tell_first_password, args=(home, say), daemon=True).start()

            asyncio.run(stack.run(home, shown))
    except (HomeInUse, PortTaken, StartFailed) as error:
        raise CommandFailed(str(error)) from error


def _tell_first_password(home: Home, say: Callable[[str], None]) -> None:
    """Says the first administrator's password where he has none yet; it is given once, and kept nowhere.

    Args:
        say: prints at a terminal, or to whoever ran `kejing up --detach`; never into a log.
    """
    from services.cli.first_password import first_password

    try:
        password = first_password(home)
    except CommandFailed as failure:
        say(f"kejing: {failure}")
        return
    if password:
        say(
            "\nThe administrator's first password is shown this once; it must be changed at the first sign-in:\n\n"
            f"    kejing sign-in admin\n    {password}\n"
        )
