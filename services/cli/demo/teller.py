"""How the story looks at the terminal: chapters, steps, and what really happened."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from services.cli.failure import CommandFailed

T = TypeVar("T")
POLL_SECONDS = 0.1
WIDTH = 140


class Teller:
    """Prints the story, and knows which step it is at."""

    def __init__(self) -> None:
        terminal = Console(highlight=False)
        # Without a terminal no row is broken or cut, so that a log holds all of it.
        self.console = terminal if terminal.is_terminal else Console(highlight=False, width=WIDTH)
        self._chapter = 0
        self._step = "the beginning"
        self._started = time.monotonic()

    def chapter(self, title: str) -> None:
        self._chapter += 1
        self._step = title
        self.console.print()
        self.console.rule(f"[bold]{self._chapter} · {escape(title)}", align="left", style="dim")

    def step(self, text: str) -> None:
        """What is about to be done, and why."""
        self._step = text
        self.console.print(f"[cyan]▸[/cyan] {escape(text)}")

    def note(self, text: str) -> None:
        """What lies beside the step, e.g. lines of a file."""
        self.console.print(Padding(f"[dim]{escape(text)}[/dim]", (0, 0, 0, 4)))

    def happened(self, text: str) -> None:
        """What came of it."""
        self.console.print(f"  [green]✓[/green] {escape(text)}")

    def refused(self, line: str, details: Iterable[str] = ()) -> None:
        """A refusal that was expected, in the service's own words."""
        self.console.print(f"  [yellow]✗ {escape(line)}[/yellow]")
        for detail in details:
            self.console.print(Padding(f"[yellow]{escape(detail)}[/yellow]", (0, 0, 0, 4)))

    def command(self, what: str, *lines: str) -> None:
        """Something to type, as it is to be typed: nothing is broken or padded."""
        for line in (f"# {what}", *lines):
            self.console.print(Text(f"    {line}", style="dim" if line.startswith("#") else ""), soft_wrap=True)

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
        shown = Table(box=None, header_style="bold", pad_edge=False)
        for heading in headings:
            shown.add_column(heading, justify="right" if heading in right else "left")
        for row in rows:
            shown.add_row(*(Text(str(value)) for value in row))
        self.show(shown)

    def show(self, shown: Table) -> None:
        self.console.print(Padding(shown, (0, 0, 0, 4)))

    @property
    def seconds(self) -> float:
        """Since the story began."""
        return time.monotonic() - self._started

    def until(self, what: str, check: Callable[[], T | None], *, within: float = 20.0) -> T:
        """The first truthy answer of `check`. Raises CommandFailed, naming the step, after `within` seconds."""
        deadline = time.monotonic() + within
        while not (answer := check()):
            if time.monotonic() > deadline:
                raise self.failed(f"{what}: not so within {within:.0f} s")
            time.sleep(POLL_SECONDS)
        return answer

    def failed(self, why: str) -> CommandFailed:
        """To be raised: the story stops, and says at which step."""
        return CommandFailed(f"the story stopped at chapter {self._chapter}, “{self._step}”: {why}")
