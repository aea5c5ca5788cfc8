"""Where to look further."""

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
    customers = address("customers")
    teller.console.print(
        "\n  [bold]Try next[/bold]\n"
        "    kejing status                          what runs, and how much memory it takes\n"
        "    kejing customers list --as csm.li      customers of one of the employees\n"
        "    kejing mrr                             the MRR of the year\n"
        "    kejing token --as csm.li               an access token, for calls of your own:\n"
        f'    buf curl --protocol grpc --http2-prior-knowledge -H "authorization: Bearer $(kejing token)" \\\n'
        f"      -d '{{\"page_size\": 3}}' http://{customers}/kejing.customers.v1.CustomersService/ListCustomers",
        markup=True,
    )


def _temporal_ui() -> str:
    state = State.read(Home.from_environment().state)
    for part in state.parts if state else ():
        if part.name == "temporal" and "web pages" in part.addresses:
            return part.addresses["web pages"]
    return next(f"127.0.0.1:{port.number}" for port in ports()["temporal"] if port.purpose == "web pages")
