"""Latencies and rates, taken alternately from both sides so that a busy machine hurts both."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence

from rich.console import Console
from rich.table import Table

Call = Callable[[], Awaitable[object]]


async def rate(call: Call, *, concurrency: int, seconds: float) -> float:
    """Calls a second with `concurrency` callers."""
    done = 0
    end = time.perf_counter() + seconds

    async def caller() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await call()
            done += 1

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(concurrency)))
    return done / (time.perf_counter() - started)


async def alternating_rates(ours: Call, bare: Call, *, concurrency: int = 20, rounds: int = 4) -> tuple[float, float]:
    """Median calls a second of both sides, after one round of warming up."""
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        for side, call in enumerate((ours, bare)):
            measured = await rate(call, concurrency=concurrency, seconds=2)
            if number:
                found[side].append(measured)
    return statistics.median(found[0]), statistics.median(found[1])


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie, by nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def timed(call: Call) -> float:
    """Milliseconds that one call takes."""
    started = time.perf_counter()
    await call()
    return (time.perf_counter() - started) * 1000


def print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(*head, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def latency_rows(ours: Sequence[float], bare: Sequence[float], names: tuple[str, str]) -> list[list[str]]:
    """Rows of p50 and p99 in milliseconds of both sides, and their ratio."""
    rows = []
    for share in (0.5, 0.99):
        mine, theirs = percentile(ours, share), percentile(bare, share)
        rows.append([f"p{share * 100:.0f}", f"{mine:.1f} ms", f"{theirs:.1f} ms", f"{mine / theirs:.2f}"])
    return [["", *names, "ratio"], *rows]
