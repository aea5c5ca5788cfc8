"""An import on its way, seen from a terminal: it is sent up, and followed to its end."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc

from services.cli.client import Connection, connect, new_request_id, persist
from services.cli.failure import CommandFailed

PIECE = 256 * 1024
UPLOAD_SECONDS = 6 * 3600.0
"""How long sending a file up may take."""
WATCH_SECONDS = 600.0
"""So long one look at an import lasts; then it is looked at again, by a token that is still good."""
AWAY_SECONDS = 120.0
"""So long a service that is away is waited for; the import goes on without us in any case."""
AWAY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}


def messages(start: Any, file: Path, sent: Callable[[int], object] = int) -> Iterator[Any]:
    """The messages of UploadFile: `start`, then the file in pieces.

    Args:
        start: the ImportStart.
        sent: told how many bytes left.
    """
    from kejing.customers.v1.imports_service_pb2 import UploadFileRequest

    yield UploadFileRequest(start=start)
    with file.open("rb") as content:
        while piece := content.read(PIECE):
            yield UploadFileRequest(data=piece)
            sent(content.tell())


def send(kejing: Connection, start: Any, file: Path) -> Any:
    """Sends a file up, showing how far it is; answers the Import. It is sent again while the service is away.

    Args:
        start: the ImportStart, without request_id and file_name.

    Raises:
        CommandFailed: somebody pressed Ctrl-C; nothing is kept where the file's end had not arrived.
        grpc.RpcError: the service refused the file or its mapping.
    """
    from kejing.customers.v1.imports_service_pb2_grpc import ImportsServiceStub

    start.request_id, start.file_name = new_request_id(), file.name[-200:]
    stub = kejing.stub(ImportsServiceStub)
    with _bar() as bar:
        task = bar.add_task("sending the file", total=max(1, file.stat().st_size), rows="", rejected="")

        def attempt() -> Any:
            call = stub.UploadFile.future(
                messages(start, file, lambda position: bar.update(task, completed=position)), timeout=UPLOAD_SECONDS
            )
            try:
                return getattr(call.result(), "import")
            except KeyboardInterrupt:
                call.cancel()
                raise

        try:
            return persist(attempt)
        except KeyboardInterrupt:
            raise CommandFailed(
                "interrupted before it was known that the whole file has arrived; nothing of it is kept if it has not, "
                "and `kejing imports list` shows it if it has"
            ) from None


def follow(login: str, brought: Any) -> Any:
    """Shows how an import gets on until it has ended; answers it as it is then.

    Raises:
        CommandFailed: somebody pressed Ctrl-C, or the service was away for two minutes; the import goes on, and the
            message says how to see it again.
    """
    with _bar() as bar:
        task = bar.add_task("waiting", total=1.0, rows="", rejected="")
        try:
            for now in watched(login, brought):
                brought = now
                bar.update(task, completed=share(brought), **columns(brought))
        except KeyboardInterrupt:
            raise CommandFailed(goes_on(brought)) from None
    return brought


def watched(login: str, brought: Any) -> Iterator[Any]:
    """The import each time that it gets on, until it has ended; services may die and come back meanwhile.

    Raises:
        CommandFailed: the service was away for too long.
        grpc.RpcError: it refused.
    """
    from kejing.customers.v1.imports_service_pb2 import WatchImportRequest
    from kejing.customers.v1.imports_service_pb2_grpc import ImportsServiceStub

    give_up = time.monotonic() + AWAY_SECONDS
    while True:
        try:
            with connect(login) as kejing:
                stub = kejing.stub(ImportsServiceStub)
                asked = WatchImportRequest(import_id=brought.id)
                for told in stub.WatchImport(asked, timeout=WATCH_SECONDS):
                    brought = getattr(told, "import")
                    give_up = time.monotonic() + AWAY_SECONDS
                    yield brought
        except grpc.RpcError as error:
            refusal: Any = error
            if refusal.code() not in AWAY:
                raise
            if time.monotonic() > give_up:
                raise CommandFailed(f"customers is away: {refusal.details()}\n{goes_on(brought)}") from error
            time.sleep(0.5)
        if brought.HasField("ended_at"):
            return


def goes_on(brought: Any) -> str:
    """What somebody who stops looking is told."""
    return (
        f"import {brought.id} goes on without you\n"
        f"  kejing imports watch {brought.id}   shows it again\n"
        f"  kejing imports pause {brought.id}   lets it rest; cancel ends it"
    )


def share(brought: Any) -> float:
    """How much of an import is done, from 0 to 1: reading and checking the file is one half, writing the other."""
    if brought.HasField("ended_at"):
        return 1.0
    read = brought.bytes_read / brought.bytes if brought.bytes else 0.0
    written = settled(brought) / brought.rows_read if brought.rows_read and read >= 1 else 0.0
    return (min(1.0, read) + written) / 2


def settled(brought: Any) -> int:
    """Rows of which it is known what became of them."""
    return int(brought.created + brought.updated + brought.unchanged + brought.superseded + brought.rejected)


def columns(brought: Any) -> dict[str, str]:
    """What stands beside the bar."""
    from services.cli.output import cell

    speed = f" · {brought.rows_read / brought.worked_seconds:,.0f}/s" if brought.worked_seconds else ""
    reading = brought.bytes_read < brought.bytes
    word = cell(brought, "state")
    return {
        "description": ("reading" if reading else "writing") if word == "running" else word,
        "rows": f"{brought.rows_read:,} rows{speed}",
        "rejected": f"{brought.rejected:,} rejected" if brought.rejected else "",
    }


def _bar() -> Any:
    """A progress bar on standard error; none where that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    terminal = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]}"),
        TextColumn("[red]{task.fields[rejected]}"),
        TimeElapsedColumn(),
        console=terminal,
        disable=not terminal.is_terminal,
    )
