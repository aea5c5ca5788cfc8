"""Roles, databases and newest schemas on the embedded Postgres; a step of `kejing up`.

It is started together with Postgres and waits for it, so that its own loading costs no time.
"""

import asyncio

from deploy.local import postgres, topology
from deploy.local.home import Home
from services.shared.db.migrate import upgrade


def main() -> None:
    port = topology.ports()["postgres"][0].number
    asyncio.run(postgres.wait_answering(port))
    secrets = Home.from_environment().secrets(topology.DATABASES, topology.EVENT_PUBLISHERS)
    databases = {name: secrets.databases[name] for name in topology.DATABASES}
    postgres.provision(port, secrets.superuser, databases)
    for service in topology.SERVICES:
        if service.database:
            upgrade(postgres.database_url(service.name, databases[service.name], port), service.storage)


if __name__ == "__main__":
    main()
