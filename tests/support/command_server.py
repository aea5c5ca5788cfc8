"""The `kejing` command, loaded once: a server forks for every command where loading has ended.

What a command needs to be one it has: a process of its own with its own arguments, environment, standard streams and
exit code, ended by the interpreter. Only the half second in which modules load is saved.
"""

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
LONGEST_ORDER = 1 << 20
MODULES = (
    "google.rpc.error_details_pb2", "grpc_status.rpc_status", "pydantic", "rich.console", "rich.live", "rich.table",
    "services.shared.rpc.assertion", "typer._adapters",
)  # fmt: skip
"""What commands load beside their own modules and the contracts."""


class CommandServer:
    """Its end in the process of the tests; the server ends with it."""

    def __init__(self) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._orders.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LONGEST_ORDER)
        with theirs:
            self._server = subprocess.Popen([sys.executable, "-m", __name__, str(theirs.fileno())],
                                            cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])  # fmt: skip

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], streams: Sequence[IO[bytes]]
    ) -> socket.socket:
        """Starts a command; answers a socket, on which its exit code (negative: the signal) comes as text.

        Args:
            streams: standard input, output and error.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            order = json.dumps([str(Path.cwd()), list(arguments), dict(environment)]).encode()
            files = [*(stream.fileno() for stream in streams), theirs.fileno()]
            socket.send_fds(self._orders, [order], files)
        return ours


def main() -> None:
    """Serves until the tests' end of the socket is closed."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    _load()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks that wait for commands
    while True:
        order, files, _, _ = socket.recv_fds(orders, LONGEST_ORDER, 4)
        if not order:
            return
        if os.fork() == 0:
            orders.close()
            _run(order, files)
            return
        for file in files:
            os.close(file)


def _load() -> None:
    import kejing
    import services.cli

    for package in (services.cli, kejing):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    for name in MODULES:
        importlib.import_module(name)
    gc.freeze()  # so that forks share what is loaded


def _run(order: bytes, files: Sequence[int]) -> None:
    """Returns in the command's process, when it has done its work; raises as the command does."""
    *streams, report = files
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if command := os.fork():
        for stream in streams:
            os.close(stream)
        _, status = os.waitpid(command, 0)
        with contextlib.suppress(BrokenPipeError):
            os.write(report, str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    os.close(report)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    folder, arguments, environment = json.loads(order)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["kejing", *arguments]
    from services.cli.main import run

    run()


if __name__ == "__main__":
    main()
