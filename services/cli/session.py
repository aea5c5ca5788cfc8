"""`kejing token`: signing in as somebody, for other programs."""

from typing import Annotated

import typer

from services.cli.options import ADMIN

app = typer.Typer()


@app.command()
def token(
    login: Annotated[str, typer.Option("--as", metavar="LOGIN", envvar="KEJING_AS", help="Whose token.")] = ADMIN,
) -> None:
    """Print an access token of an employee, and nothing else."""
    from services.cli.client import access_token

    print(access_token(login))
