"""The relay: carries committed events from the outbox to JetStream, at least once, in their order."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from nats.aio.client import Client
from nats.errors import Error as NatsError
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import SQLAlchemyError

from services.shared.db.engine import Database
from services.shared.db.tables import inbox, outbox, requests, stream
from services.shared.db.write import Outgoing, Write
from services.shared.logging import get_logger
from services.shared.messaging.broker import STREAM, ensure_stream

BATCH = 200
SWEEP_SECONDS = 1.0
"""How long an event waits at most where the instance that committed it died before it published it."""
HOUSEKEEPING_SECONDS = 3600
KEEP_EVENTS = timedelta(days=30)
"""Published events are kept that long, so that a lost stream can be filled again."""
KEEP_REQUESTS = timedelta(days=7)
KEEP_INBOX = timedelta(days=35)
"""Longer than any event can come again from the stream or a refill."""


async def run_relay(db: Database, nats: Client) -> None:
    """Publishes until cancelled. An outage of Postgres or NATS is waited out; nothing is lost and order is kept.

    What this process commits is published from memory at once. A sweep of the outbox finds all else: what is left of an
    outage, or of another instance that died.
    """
    loop = asyncio.get_running_loop()
    sweep_at = housekeeping_at = 0.0
    ready, connection = False, 0
    while True:
        try:
            if not ready or connection != nats.stats["reconnects"]:  # the stream may be another one
                connection = nats.stats["reconnects"]
                await refill_new_stream(db, nats)
                ready = True
            if loop.time() >= sweep_at:
                while await sweep(db, nats) == BATCH:
                    pass
                sweep_at = loop.time() + SWEEP_SECONDS
            if loop.time() >= housekeeping_at:
                await forget_old(db)
                housekeeping_at = loop.time() + HOUSEKEEPING_SECONDS
            if events := await _just_committed(db, sweep_at - loop.time()):
                await publish(nats, events)
                async with db.transaction(actor="machine:relay") as write:
                    await mark_published(write, events)
        except (SQLAlchemyError, NatsError, OSError, TimeoutError) as error:
            ready, sweep_at = False, 0.0
            while not db.committed.empty():  # found in the outbox again
                db.committed.get_nowait()
            get_logger().warning("relay waits", error=f"{type(error).__name__}: {error}"[:300])
            await asyncio.sleep(1)


async def _just_committed(db: Database, seconds: float) -> list[Outgoing]:
    """The events of the commits of this process since the last call; waits up to `seconds` for the first."""
    try:
        events = await asyncio.wait_for(db.committed.get(), max(seconds, 0.001))
    except TimeoutError:
        return []
    while len(events) < BATCH and not db.committed.empty():
        events = events + db.committed.get_nowait()
    return events


async def publish(nats: Client, events: Sequence[Outgoing]) -> None:
    """Publishes the events in their order; returns when JetStream has stored all."""
    jetstream = nats.jetstream(timeout=10)
    # The same Nats-Msg-Id each time: a publish that timed out may have arrived all the same.
    sending = [jetstream.publish(e.subject, e.event, stream=STREAM, headers={"Nats-Msg-Id": str(e.id)}) for e in events]
    await asyncio.gather(*sending)


async def mark_published(write: Write, events: Sequence[Outgoing]) -> None:
    positions = [event.position for event in events]
    await write.execute(update(outbox).where(outbox.c.position == func.any(positions)).values(published_at=write.now))


async def sweep(db: Database, nats: Client) -> int:
    """Publishes up to 200 events that lie in the outbox; answers how many. Several relays share the work.

    Younger ones than a second are left to the process that committed them.
    """
    async with db.transaction(actor="machine:relay") as write:
        waiting = (
            select(outbox.c.position, outbox.c.id, outbox.c.subject, outbox.c.event)
            .where(outbox.c.published_at.is_(None), outbox.c.created_at < write.now - timedelta(seconds=SWEEP_SECONDS))
            .order_by(outbox.c.position)
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        )
        rows = (await write.execute(waiting)).all()
        events = [Outgoing(row.position, row.id, row.subject, row.event) for row in rows]
        if events:
            await publish(nats, events)
            await mark_published(write, events)
    return len(events)


async def refill_new_stream(db: Database, nats: Client) -> None:
    """Where the stream is not the one that was filled before (wiped, moved), all kept events are published again."""
    created_at = await ensure_stream(nats.jetstream(timeout=10))
    async with db.transaction(actor="machine:relay") as write:
        known = (await write.execute(select(stream.c.created_at).where(stream.c.name == STREAM))).scalar()
        if known == created_at:
            return
        if known is not None:
            await write.execute(update(outbox).values(published_at=None).where(outbox.c.published_at.is_not(None)))
        row = upsert(stream).values(name=STREAM, created_at=created_at)
        await write.execute(row.on_conflict_do_update(index_elements=["name"], set_={"created_at": created_at}))


async def forget_old(db: Database) -> None:
    """Removes what has served its time: answered requests, published events, received events."""
    async with db.transaction(actor="machine:relay") as write:
        await write.execute(delete(requests).where(requests.c.created_at < write.now - KEEP_REQUESTS))
        await write.execute(delete(outbox).where(outbox.c.published_at < write.now - KEEP_EVENTS))
        await write.execute(delete(inbox).where(inbox.c.received_at < write.now - KEEP_INBOX))
