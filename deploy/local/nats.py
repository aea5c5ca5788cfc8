"""The embedded NATS server with JetStream, and one user a publishing process."""

import asyncio
import json
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from deploy.local.home import write_private
from deploy.local.ports import Port
from deploy.local.process import Program

CONFIGURATION = """\
server_name: kejing
listen: "127.0.0.1:{port}"
max_payload: 4MB
jetstream {{
  store_dir: {store}
  sync_interval: always   # a message that was acknowledged is on the disk
}}
authorization {{
  users: [
{users}
  ]
}}
"""
# A process tells only what happened in its own area, and never removes what others told.
USER = """\
    {{ user: {name}, password: {password}, permissions: {{
        publish: {{
          allow: ["kejing.{name}.>", "$KV.{name}.>", "$JS.API.>", "$JS.ACK.>"]
          deny: ["$JS.API.STREAM.DELETE.>", "$JS.API.STREAM.PURGE.>", "$JS.API.STREAM.MSG.DELETE.>"]
        }}
        subscribe: {{ allow: ["_INBOX.>", "$JS.EVENT.ADVISORY.CONSUMER.>"] }}
    }} }}"""


def program(folder: Path, port: Port, log: Path, users: Mapping[str, str]) -> Program:
    """The server, whose configuration is written anew before each start.

    Args:
        folder: for the streams and the configuration.
        users: name → password; `<name>` may publish on `kejing.<name>.>`.
    """
    file = folder / "nats.conf"

    async def prepare() -> None:
        write_private(file, configuration(folder / "jetstream", port.number, users).encode())

    async def ready() -> bool:
        return await answers(port.number)

    return Program(
        name="nats",
        command=[str(Path(sysconfig.get_path("scripts"), "nats-server")), "-c", str(file)],
        log=log,
        ready=ready,
        ports=[port],
        prepare=prepare,
    )


def configuration(store: Path, port: int, users: Mapping[str, str]) -> str:
    entries = (USER.format(name=name, password=json.dumps(password)) for name, password in users.items())
    return CONFIGURATION.format(port=port, store=json.dumps(str(store)), users="\n".join(entries))


async def answers(port: int) -> bool:
    """Whether the server greets a client and JetStream is open."""
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                greeting = await reader.readline()
                return greeting.startswith(b"INFO ") and json.loads(greeting[5:]).get("jetstream") is True
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return False


def url(user: str, password: str, port: int) -> str:
    """Where `user` connects to."""
    return f"nats://{user}:{password}@127.0.0.1:{port}"
