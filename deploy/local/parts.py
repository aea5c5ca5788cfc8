"""How each part of the embedded stack is started: the programs with their environment."""

import os
import sys

from deploy.local import nats, postgres, temporal, topology
from deploy.local.grpc_health import serving
from deploy.local.home import Home, Secrets
from deploy.local.ports import Port
from deploy.local.process import Program


def infrastructure(home: Home, secrets: Secrets, ports: dict[str, tuple[Port, ...]]) -> list[Program]:
    """Postgres, NATS and Temporal of a home."""
    folder = home.path
    events = {name: secrets.events[name] for name in topology.EVENT_PUBLISHERS}
    return [
        postgres.program(folder / "postgres", ports["postgres"][0], home.log("postgres"), secrets.superuser),
        nats.program(folder / "nats", ports["nats"][0], home.log("nats"), events),
        temporal.program(folder / "temporal", ports["temporal"], home.log("temporal")),
    ]


def migrations(home: Home) -> Program:
    """The step that brings every database to the newest schema."""
    return Program(
        name="migrations",
        command=[sys.executable, "-m", "deploy.local.migrate"],
        log=home.log("migrations"),
        environment={"KEJING_HOME": str(home.path)},
        start_seconds=600,
    )


def service(home: Home, secrets: Secrets, ports: dict[str, tuple[Port, ...]], which: topology.Service) -> Program:
    """One of our own processes. It is told its own passwords only."""
    address = f"{topology.HOST}:{ports[which.name][0].number}"
    environment = {
        "KEJING_HOME": str(home.path),
        "KEJING_BIND": address,
        "KEJING_NATS_URL": nats.url(which.name, secrets.events[which.name], ports["nats"][0].number),
        "KEJING_MACHINE_KEY_FILE": str(home.machine_key(which.name)),
        "KEJING_LOG_FORMAT": "json",
        "MALLOC_ARENA_MAX": "2",  # glibc's arenas for each thread cost memory and help a single event loop nothing
    }
    for other in topology.SERVICES:
        environment[f"KEJING_{other.name.upper()}_ADDRESS"] = f"{topology.HOST}:{ports[other.name][0].number}"
    if which.database:
        database = postgres.database_url(which.name, secrets.databases[which.name], ports["postgres"][0].number)
        environment["KEJING_DATABASE_URL"] = database
    if which.name == "identity":
        environment["KEJING_COMMAND_KEY_FILE"] = str(home.command_key)
        environment["KEJING_MACHINE_KEYS"] = str(home.machine_keys)
        environment |= {key: value for key, value in os.environ.items() if key.startswith("KEJING_OIDC_")}
    if which.name == "customers":
        environment["KEJING_ENCRYPTION_KEYS_FILE"] = str(home.encryption_keys)
    if which.temporal:
        environment["KEJING_TEMPORAL_ADDRESS"] = f"{topology.HOST}:{ports['temporal'][0].number}"

    async def ready() -> bool:
        return await serving(address)

    return Program(
        name=which.name,
        command=[sys.executable, "-m", which.module],
        log=home.log(which.name),
        ready=ready,
        ports=ports[which.name],
        environment=environment,
    )
