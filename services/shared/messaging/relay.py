"""The relay: carries committed events from the outbox to JetStream, at least once, in their order."""

import asyncio
from datetime import timedelta

from nats.aio.client import Client
from nats.errors import Error as NatsError
from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import SQLAlchemyError

from services.shared.db.engine import Database
from services.shared.db.tables import inbox, outbox, requests, stream
from services.shared.logging import get_logger
from services.shared.messaging.broker import STREAM, ensure_stream

BATCH = 200
POLL_SECONDS = 0.2
"""How long an event waits at most when another instance committed it and died before its own relay ran."""
HOUSEKEEPING_SECONDS = 3600
KEEP_EVENTS = timedelta(days=30)
"""Published events are kept that long, so that a lost stream can be filled again."""
KEEP_REQUESTS = timedelta(days=7)
KEEP_INBOX = timedelta(days=35)
"""Longer than any event can come again from the stream or a refill."""


async def run_relay(db: Database, nats: Client) -> None:
    """Publishes until cancelled. An outage of Postgres or NATS is waited out; nothing is lost and order is kept."""
    log = get_logger()
    housekeeping_at = 0.0
    ready = False
    while True:
        db.committed.clear()
        try:
            if not ready:
                await refill_new_stream(db, nats)
                ready = True
            while await publish_batch(db, nats) == BATCH:
                pass
            if asyncio.get_running_loop().time() >= housekeeping_at:
                await forget_old(db)
                housekeeping_at = asyncio.get_running_loop().time() + HOUSEKEEPING_SECONDS
        except (SQLAlchemyError, NatsError, OSError, TimeoutError) as error:
            ready = False  # after an outage the stream may be another one
            log.warning("relay waits", error=f"{type(error).__name__}: {error}"[:300])
            await asyncio.sleep(1)
            continue
        try:
            await asyncio.wait_for(db.committed.wait(), POLL_SECONDS)
        except TimeoutError:
            continue


async def publish_batch(db: Database, nats: Client) -> int:
    """Publishes up to 200 waiting events; answers how many. Several relays share the work without overlap."""
    jetstream = nats.jetstream(timeout=10)
    async with db.transaction(actor="machine:relay") as write:
        waiting = (
            select(outbox.c.position, outbox.c.id, outbox.c.subject, outbox.c.event)
            .where(outbox.c.published_at.is_(None))
            .order_by(outbox.c.position)
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        )
        rows = (await write.execute(waiting)).all()
        if rows:
            # The same Nats-Msg-Id each time: a publish that timed out may have arrived all the same.
            await asyncio.gather(
                *(
                    jetstream.publish(r.subject, r.event, stream=STREAM, headers={"Nats-Msg-Id": str(r.id)})
                    for r in rows
                )
            )
            positions = [row.position for row in rows]
            await write.execute(update(outbox).where(outbox.c.position.in_(positions)).values(published_at=write.now))
    return len(rows)


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
