"""What a call pays for who calls and what he may, where the token and the grant are remembered. Timed alone."""

import time
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from deploy.local import postgres, topology
from services.shared.access.directory import Directory
from services.shared.clock import utc_now
from services.shared.db import Database
from services.shared.rpc.client import channel, fetch_public_keys
from services.shared.rpc.tokens import TokenVerifier
from tests.benchmarks.measure import percentile, print_table
from tests.benchmarks.world import World

ROUNDS = 200
CHECKS = 1000
ZONE = ZoneInfo("Asia/Shanghai")


async def run(world: World) -> None:
    port = int(world.stack.address("postgres").rpartition(":")[2])
    password = world.stack.home.secrets(topology.DATABASES, topology.EVENT_PUBLISHERS).databases["tasks"]
    db = Database(postgres.database_url("tasks", password, port), utc_now)
    to_identity = channel(world.stack.address("identity"))
    verifier = TokenVerifier(partial(fetch_public_keys, to_identity))
    rows = await timings(verifier, Directory(db, utc_now, ZONE, None), await world.client.get())
    await to_identity.close()
    await db.close()
    print_table("Token check, remembered (both: at most 5 µs)", ["check", "p50", "p95"], rows)


async def timings(verifier: TokenVerifier, directory: Directory, token: str) -> list[list[str]]:
    """The table's rows. The token comes as headers bring it: each time as another text, whose hash nobody knows yet."""
    caller = await verifier.verify(token)
    await directory.of(caller)

    async def token_alone(text: str) -> Any:
        await verifier.verify(text)

    async def grant_alone(_: str) -> Any:
        await directory.of(caller)

    async def both(text: str) -> Any:
        await directory.of(await verifier.verify(text))

    rows = []
    for name, check in {"token": token_alone, "grant": grant_alone, "both": both}.items():
        micros = []
        for _ in range(ROUNDS):
            texts = [token.encode().decode() for _ in range(CHECKS)]
            started = time.perf_counter()
            for text in texts:
                await check(text)
            micros.append((time.perf_counter() - started) / CHECKS * 1e6)
        rows.append([name, f"{percentile(micros, 0.5):.2f} µs", f"{percentile(micros, 0.95):.2f} µs"])
    return rows
