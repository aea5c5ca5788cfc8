"""How the state of a stack looks: at the terminal, live, and as JSON."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

import psutil
from rich.console import Console
from rich.live import Live
from rich.table import Table

from deploy.local.home import Home
from deploy.local.state import Part, State

STYLES = {"ready": "green", "done": "green", "failed": "bold red", "silent": "red", "restarting": "yellow"}
MEGABYTE = 1024 * 1024


def memory_of(pid: int, *, children: bool = True) -> int:
    """Proportional set size of a process and its children, in bytes; resident size where the system knows no other."""
    total = 0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in (process, *(process.children(recursive=True) if children else [])):
            with suppress(psutil.Error):
                full = each.memory_full_info()
                total += getattr(full, "pss", full.rss)
    return total


def as_dict(home: Home, state: State) -> dict[str, Any]:
    """The state with the memory of each part in bytes; `pss` of the whole counts the supervisor too."""
    shown = asdict(state)
    for part in shown["parts"]:
        part["pss"] = memory_of(part["pid"]) if part["pid"] else 0
    own = memory_of(state.pid, children=False)
    total = own + sum(part["pss"] for part in shown["parts"])
    return {"home": str(home.path), "ready": state.ready, "pss": total, "supervisor_pss": own, **shown}


def table(home: Home, state: State, *, memory: bool) -> Table:
    """What runs where.

    Args:
        memory: measure each part's proportional set size (some 10 ms each).
    """
    facts = as_dict(home, state) if memory else None
    shown = Table(title=f"{home.path} · {state.state}", title_justify="left", box=None, header_style="bold")
    for heading in ("part", "state", "pid", "address", "restarts", *(["PSS MB"] if facts else [])):
        shown.add_column(heading, justify="right" if heading in ("pid", "restarts", "PSS MB") else "left")
    for index, part in enumerate(state.parts):
        row = [part.name, _state(part), str(part.pid or ""), _addresses(part), str(part.restarts or "")]
        if facts:
            row.append(_megabytes(facts["parts"][index]["pss"]))
        shown.add_row(*row)
    if facts:
        shown.add_row("supervisor", "", str(state.pid), "", "", _megabytes(facts["supervisor_pss"]))
        shown.add_row("[bold]sum[/bold]", "", "", "", "", f"[bold]{_megabytes(facts['pss'])}[/bold]")
    return shown


@contextmanager
def live(home: Home) -> Iterator[tuple[Callable[[State], None], Callable[[str], None] | None]]:
    """A table at the terminal that follows the state, and what prints a text above it; where there is no terminal
    lines of text, which may become a log, and None."""
    console = Console()
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as view:

            def show(state: State) -> None:
                view.update(table(home, state, memory=False), refresh=True)

            def say(text: str) -> None:
                view.console.print(text, markup=False, highlight=False)

            yield show, say
    else:
        yield _Lines(), None


class _Lines:
    """Prints each part's state when it changes."""

    def __init__(self) -> None:
        self._printed: dict[str, str] = {}

    def __call__(self, state: State) -> None:
        now = {part.name: f"{part.state} {_addresses(part)}" for part in state.parts} | {"stack": state.state}
        for name, text in now.items():
            if self._printed.get(name) != text:
                print(name, text, file=sys.stdout, flush=True)
        self._printed = now


def _state(part: Part) -> str:
    reason = part.reason.splitlines()[0][:80] if part.reason else ""
    style = STYLES.get(part.state, "dim")
    return f"[{style}]{part.state}[/{style}]" + (f" ({reason})" if reason else "")


def _addresses(part: Part) -> str:
    web = ("web pages", "metrics", "HTTP API")
    return "  ".join(
        f"http://{at}" if what in web[:1] else at for what, at in part.addresses.items() if what not in web[1:]
    )


def _megabytes(size: int) -> str:
    return f"{size / MEGABYTE:.0f}"
