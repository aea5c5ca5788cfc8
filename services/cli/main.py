"""The `kejing` command. Every module of this folder adds the commands of its `app`.

An `app` with a name becomes a group (`kejing customers …`), one without adds its commands beside `up` and `down`.
Modules import gRPC stubs and other slow things inside their commands, so that `kejing --help` answers at once.
"""

import importlib
import pkgutil
import sys
from typing import Annotated

import typer

import services.cli
from deploy.local.topology import WrongPortBase
from services.cli.failure import CommandFailed, lines_of
from services.cli.options import acting_for

SHARED = {"client", "conditions", "customer_filter", "employee_import", "failure", "first_password",
          "import_progress", "main", "mapping_file", "options", "organisation", "output", "sheets",
          "stack_view", "tokens"}  # fmt: skip
"""Modules without commands, which commands share; some load slow libraries."""


def build() -> typer.Typer:
    """The whole command line."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_for_whom)
    for module in sorted({module.name for module in pkgutil.iter_modules(services.cli.__path__)} - SHARED):
        app.add_typer(importlib.import_module(f"services.cli.{module}").app)
    return app


def _for_whom(
    absent: Annotated[
        str,
        typer.Option("--for", metavar="LOGIN", envvar="KEJING_FOR", help="Act for this absent colleague, as deputy."),
    ] = "",
) -> None:
    """Kejing: customers, tasks, processes, health and revenue of a customer-success team."""
    acting_for.set(absent)


def run() -> None:
    """Entry point of the console script. A refusal becomes a line on stderr and exit code 1."""
    try:
        build()()
    except (CommandFailed, WrongPortBase) as failure:
        sys.exit(f"kejing: {failure}")
    except Exception as error:
        # The library is loaded only where a command has called a service; then its errors are answers, not faults.
        grpc = sys.modules.get("grpc")
        if grpc is None or not isinstance(error, grpc.RpcError):
            raise
        sys.exit("\n".join(lines_of(error)))
