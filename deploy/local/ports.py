"""Ports on the loopback address: whether they are free, and who holds them."""

import asyncio
import socket
from contextlib import closing
from dataclasses import dataclass

# A port inside the system's range for outgoing connections may be held for a minute by one that has ended (TIME_WAIT).
LINGER_SECONDS = 70.0


@dataclass(frozen=True)
class Port:
    """A port on 127.0.0.1 that `part` listens on for `purpose`."""

    part: str
    purpose: str
    number: int


class PortTaken(RuntimeError):
    """Somebody else listens on a port that a part needs."""

    def __init__(self, port: Port, holder: str) -> None:
        super().__init__(
            f"port {port.number}, which {port.part} needs for {port.purpose}, is taken by {holder}; "
            "stop that program or set KEJING_PORT_BASE to move all ports"
        )
        self.port = port


async def ensure_free(port: Port) -> None:
    """Returns once the port can be listened on.

    Raises:
        PortTaken: at once when somebody listens on it, after 70 s when it is held in another way.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + LINGER_SECONDS
    while not is_free(port.number):
        holder = listener(port.number)
        if holder or loop.time() > give_up:
            raise PortTaken(port, holder or "an outgoing connection")
        await asyncio.sleep(0.2)


def is_free(number: int) -> bool:
    """Whether 127.0.0.1:`number` can be listened on now."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
            probe.listen(1)
        except OSError:
            return False
    return True


def listener(number: int) -> str:
    """Who listens on the port, in words; empty when nobody does."""
    import psutil

    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:  # macOS lists connections for root only
        return "another program"
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == number:
            try:
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
            except (psutil.Error, TypeError, ValueError):
                return "another program"
    return ""
