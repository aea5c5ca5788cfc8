"""Options that many commands share."""

from contextvars import ContextVar
from pathlib import Path
from typing import Annotated

import typer

As = Annotated[
    str,
    typer.Option(
        "--as",
        metavar="LOGIN",
        envvar="KEJING_AS",
        help="Act as this employee, by this home's command key; without, as who signed in.",
    ),
]
"""Use with the default `ME`."""
ME = ""

acting_for: ContextVar[str] = ContextVar("acting_for", default="")
"""The login of the absent colleague that the command is done for (`kejing --for LOGIN …`); "" for nobody."""

Size = Annotated[int, typer.Option("-n", min=1, max=500, help="At most this many.")]
Page = Annotated[str, typer.Option("--page", metavar="TOKEN", help="The next_page_token of the page before.")]

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

Csv = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A CSV file in UTF-8.")]

Rejected = Annotated[
    Path | None, typer.Option("--rejected", metavar="FILE", help="Write the rows that were not taken there, as CSV.")
]
