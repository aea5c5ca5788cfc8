"""The one list of what runs on a machine: parts, ports, databases, and who needs whose address."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.local.ports import Port

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Service:
    """A Python process of ours that answers gRPC.

    Attributes:
        name: of the process, its log, its NATS user and (with `database`) its database `kejing_<name>`.
        module: what `python -m` runs.
        port: where it listens unless KEJING_PORT_BASE is set.
        offset: added to KEJING_PORT_BASE.
        database: whether it owns one; its migrations are then in `<package>.storage`.
        temporal: whether it talks to Temporal.
    """

    name: str
    module: str
    port: int
    offset: int
    database: bool = True
    temporal: bool = False

    @property
    def storage(self) -> str:
        """The package with the service's migrations."""
        return self.module.removesuffix(".main") + ".storage"


SERVICES = (
    Service("identity", "services.identity.main", 50050, 50),
    Service("customers", "services.customers.main", 50051, 51),
    Service("tasks", "services.tasks.main", 50052, 52),
    Service("health", "services.health.main", 50053, 53),
    Service("revenue", "services.revenue.main", 50054, 54),
    Service("notifications", "services.notifications.main", 50055, 55),
    Service("processes", "workflows.main", 50056, 56, database=False, temporal=True),
)
DATABASES = tuple(service.name for service in SERVICES if service.database)
MACHINES = tuple(service.name for service in SERVICES)
"""Each has a key of its own, by which identity knows it."""
EVENT_PUBLISHERS = tuple(service.name for service in SERVICES)

# part, what the port is for → default port, offset from KEJING_PORT_BASE
INFRASTRUCTURE_PORTS = {
    ("temporal", "gRPC"): (7233, 33),
    ("temporal", "web pages"): (8233, 34),
    ("temporal", "HTTP API"): (7243, 35),
    ("temporal", "metrics"): (7253, 36),
    ("nats", "clients"): (4222, 22),
    ("postgres", "SQL"): (5433, 32),
}


class WrongPortBase(ValueError):
    """KEJING_PORT_BASE is no number or leads to ports that do not exist."""


def ports(environment: Mapping[str, str] = os.environ) -> dict[str, tuple[Port, ...]]:
    """The ports of every part, the one that others connect to first.

    Raises:
        WrongPortBase: when KEJING_PORT_BASE is not a number from 1000 to 65000.
    """
    text = environment.get("KEJING_PORT_BASE", "")
    if text and not (text.isascii() and text.isdigit() and 1000 <= int(text) <= 65000):
        raise WrongPortBase(f"KEJING_PORT_BASE is {text!r}; it must be a number from 1000 to 65000")
    found: dict[str, tuple[Port, ...]] = {}
    for (part, purpose), (default, offset) in INFRASTRUCTURE_PORTS.items():
        found[part] = (*found.get(part, ()), Port(part, purpose, int(text) + offset if text else default))
    for service in SERVICES:
        found[service.name] = (Port(service.name, "gRPC", int(text) + service.offset if text else service.port),)
    return found


def addresses(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """host:port that others connect to, by part."""
    return {part: f"{HOST}:{its_ports[0].number}" for part, its_ports in ports(environment).items()}
