"""`python -m tests.benchmarks`: starts a stack of its own and prints what things cost on it."""

import asyncio
import os
import sys
import time

import uvloop

from tests.benchmarks import clocks, imports, orders, overview, reads, scoped_lists, tokens
from tests.benchmarks.measure import print_table
from tests.benchmarks.world import World, keep_commit_times
from tests.support.stack import local_stack


async def main() -> None:
    with local_stack() as stack:
        stack.up()  # the first start makes the databases; what is timed is a start with data
        keep_commit_times(stack)
        stack.down()
        started = time.perf_counter()
        stack.up()
        ready = time.perf_counter() - started
        status = stack.status()
        rows = [[part["name"], f"{part['pss'] / 1e6:.0f} MB"] for part in status["parts"] if part["pss"]]
        total = ["whole stack, idle", f"{status['pss'] / 1e6:.0f} MB (at most 1,200)"]
        print_table(f"kejing up: ready after {ready:.1f} s (at most 20)", ["part", "PSS"], [*rows, total])
        world = await World.of(stack)
        await tokens.run(world)
        await reads.run(world)
        await clocks.run(world)
        await orders.run(world)
        await overview.run(world)
        await world.close()


if __name__ == "__main__":
    asyncio.run(main())
    uvloop.run(scoped_lists.run())
    uvloop.run(imports.run())
    sys.stdout.flush()
    os._exit(0)  # a client of Temporal may abort in the interpreter's own shutdown
