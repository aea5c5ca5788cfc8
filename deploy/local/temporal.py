"""The embedded Temporal server with its web pages."""

import asyncio
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from deploy.local.grpc_health import serving
from deploy.local.ports import Port
from deploy.local.process import Program, StartFailed

RETENTION = "90d"  # an id that was used stays refused that long
DYNAMIC_CONFIG = {
    # The defaults poll 20 times a second; each hand-over to a worker then waits up to 50 ms.
    "history.transferProcessorMaxPollRPS": "2000",
    "history.transferProcessorMaxPollHostRPS": "2000",
    "history.timerProcessorMaxPollRPS": "2000",
    "history.timerProcessorMaxPollHostRPS": "2000",
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
}
# For tests: the clock of a single workflow can be moved.
VIRTUAL_CLOCK = {
    "frontend.WorkflowTimeSkippingEnabled": "true",
    "history.timerProcessorMaxTimeShift": '"10ms"',
}


def program(folder: Path, ports: Sequence[Port], log: Path, *, virtual_clock: bool = False) -> Program:
    """The server on the file `folder`/temporal.db.

    Args:
        ports: for gRPC, web pages, HTTP API, metrics, in this order.
        virtual_clock: allows tests to move the clock of a workflow.
    """
    grpc_port, ui_port, http_port, metrics_port = (port.number for port in ports)
    dynamic_config = {**DYNAMIC_CONFIG, **(VIRTUAL_CLOCK if virtual_clock else {})}
    command = [
        str(binary()), "--log-level", "warn", "server", "start-dev", "--ip", "127.0.0.1",
        "--port", str(grpc_port), "--ui-port", str(ui_port), "--http-port", str(http_port),
        "--metrics-port", str(metrics_port), "--ui-disable-news-fetch",
        "--db-filename", str(folder / "temporal.db"),
        # Four times the throughput of the defaults, and as safe against kill -9.
        "--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL",
    ]  # fmt: skip
    for key, value in dynamic_config.items():
        command += ["--dynamic-config-value", f"{key}={value}"]

    async def ready() -> bool:
        return await serving(f"127.0.0.1:{grpc_port}", "temporal.api.workflowservice.v1.WorkflowService")

    async def settle() -> None:
        await keep_closed(grpc_port, log)

    return Program("temporal", command, log, ready, ports, settle=settle, start_seconds=120, stop_seconds=15)


def binary() -> Path:
    return Path(sysconfig.get_path("scripts"), "temporal")


async def keep_closed(port: int, log: Path) -> None:
    """Sets how long closed workflows are kept. Can be repeated.

    Raises:
        StartFailed: Temporal refused.
    """
    process = await asyncio.create_subprocess_exec(
        str(binary()), "operator", "namespace", "update", "--namespace", "default", "--retention", RETENTION,
        "--address", f"127.0.0.1:{port}",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    if process.returncode:
        raise StartFailed("temporal", f"refused a retention of {RETENTION}: {output.decode().strip()}", log)
