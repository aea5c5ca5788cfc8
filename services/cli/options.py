"""Options that many commands share."""

from typing import Annotated

import typer

As = Annotated[str, typer.Option("--as", metavar="LOGIN", envvar="KEJING_AS", help="Act as this employee.")]
"""Use with the default `ADMIN`."""
ADMIN = "admin"

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
