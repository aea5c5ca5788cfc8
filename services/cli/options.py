"""Options that many commands share."""

from pathlib import Path
from typing import Annotated

import typer

As = Annotated[str, typer.Option("--as", metavar="LOGIN", envvar="KEJING_AS", help="Act as this employee.")]
"""Use with the default `ADMIN`."""
ADMIN = "admin"

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

Csv = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A CSV file in UTF-8.")]

Rejected = Annotated[
    Path | None, typer.Option("--rejected", metavar="FILE", help="Write the rows that were not taken there, as CSV.")
]
