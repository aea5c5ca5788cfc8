"""Where to look further."""

import shutil
import sys
from pathlib import Path

from deploy.local.home import Home
from deploy.local.state import State
from deploy.local.topology import SERVICES, ports
from services.cli.client import address
from services.cli.demo.stage import Stage


def play(stage: Stage) -> None:
    teller = stage.teller
    teller.chapter(f"The end, after {teller.seconds:.0f} s. Everything stays up; look further:")
    rows = [("Temporal UI", f"http://{_temporal_ui()}", "tasks, processes and evaluations as running workflows")]
    rows += [("gRPC", address(service.name), service.name) for service in SERVICES]
    teller.table(("what", "where", ""), rows)
    kejing, buf = _command("kejing"), _command("buf")
    teller.step("Try next:")
    teller.command("what runs, and how much memory it takes", f"{kejing} status")
    teller.command("the customers of one of the employees", f"{kejing} customers list --view mine --as csm.li")
    teller.command(
        "a first password stands where the stack was started; this gives another one",
        f"{kejing} employee password admin",
    )
    teller.command(
        "sign in with it, choose one of your own, and see what you may", f"{kejing} sign-in admin", f"{kejing} whoami"
    )
    teller.command("what was done to whom, and by whom", f"{kejing} audit list -n 20")
    teller.command("the MRR of the year", f"{kejing} mrr")
    teller.command(
        "any call, as any employee",
        f"{buf} curl --protocol grpc --http2-prior-knowledge -d '{{\"page_size\": 3}}' \\",
        f'  -H "authorization: Bearer $({kejing} token --as csm.li)" \\',
        f"  http://{address('customers')}/kejing.customers.v1.CustomersService/ListCustomers",
    )


def _command(name: str) -> str:
    """How the command is called from here: it may be known only inside the virtual environment."""
    if shutil.which(name):
        return name
    beside = Path(sys.executable).with_name(name)
    here = Path.cwd()
    return str(beside.relative_to(here) if beside.is_relative_to(here) else beside)


def _temporal_ui() -> str:
    state = State.read(Home.from_environment().state)
    for part in state.parts if state else ():
        if part.name == "temporal" and "web pages" in part.addresses:
            return part.addresses["web pages"]
    return next(f"127.0.0.1:{port.number}" for port in ports()["temporal"] if port.purpose == "web pages")
