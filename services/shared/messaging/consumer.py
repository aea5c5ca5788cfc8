"""Consumers: events of others, each taking effect once.

The inbox row, the effect and the effect's own events are one transaction; the message is acknowledged after the commit.
An event whose handler fails five times goes to the dead letters, where it can be seen and replayed; an outage of the
database is no fault of the event and is waited out.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from google.protobuf.message import DecodeError, Message
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from kejing.common.v1.events_pb2 import Event
from services.shared.db.engine import Database
from services.shared.db.tables import dead_letters, inbox
from services.shared.db.write import Write
from services.shared.errors import NotFound
from services.shared.logging import bind, get_logger
from services.shared.messaging.broker import STREAM, ensure_stream
from services.shared.messaging.envelope import subject_of, type_of

Handler = Callable[[Write, Event, Any], Awaitable[None]]
"""Takes the transaction, the envelope and the unpacked payload."""

MAX_DELIVERIES = 5
BATCH = 50
DATABASE_AWAY = (OperationalError, InterfaceError, PoolTimeout)
"""No fault of the event."""


class Consumer:
    """One durable consumer; `handlers` by payload message class. Instances of one `name` share the work."""

    def __init__(self, db: Database, nats: Client, name: str, handlers: Mapping[type[Message], Handler]) -> None:
        self._db = db
        self._nats = nats
        self.name = name
        self._handlers = {type_of(payload): (payload, handler) for payload, handler in handlers.items()}
        self._subjects = sorted(subject_of(payload) for payload in handlers)

    async def run(self) -> None:
        """Consumes until cancelled; an outage of NATS or Postgres is waited out."""
        await pull(self._nats, self.name, self._subjects, self._receive)

    async def _receive(self, message: Msg) -> None:
        try:
            try:
                await self.take(Event.FromString(message.data))
            except DATABASE_AWAY:
                raise
            except Exception as error:  # whatever a handler raises: the event must not be lost
                await self._failed(message, error)
            else:
                await message.ack()
        except DATABASE_AWAY as error:
            get_logger().warning("consumer waits", consumer=self.name, error=type(error).__name__)
            await message.nak(delay=2)

    async def take(self, event: Event) -> bool:
        """Lets the event take effect unless it has before; answers whether it did now."""
        with bind(event_id=event.id, event_type=event.type, request_id=event.request_id):
            async with self._db.transaction(
                actor=event.actor or "machine:unknown", request_id=event.request_id, unscoped="an event of its owner"
            ) as write:
                row = {"consumer": self.name, "event_id": UUID(event.id), "received_at": write.now}
                if not (await write.execute(upsert(inbox).values(row).on_conflict_do_nothing())).rowcount:
                    return False
                payload_class, handler = self._handlers[event.type]
                payload = payload_class()
                event.payload.Unpack(payload)
                await handler(write, event, payload)
        return True

    async def _failed(self, message: Msg, error: Exception) -> None:
        deliveries = message.metadata.num_delivered
        get_logger().error(
            "event failed", consumer=self.name, subject=message.subject, deliveries=deliveries, exc_info=error
        )
        if deliveries < MAX_DELIVERIES and not isinstance(error, DecodeError):
            await message.nak(delay=2 ** (deliveries - 2))
            return
        async with self._db.transaction(actor=f"machine:{self.name}") as write:
            row = {"consumer": self.name, "event_id": _id_of(message), "subject": message.subject,
                   "event": message.data, "error": f"{type(error).__name__}: {error}"[:1000],
                   "failed_at": write.now}  # fmt: skip
            await write.execute(upsert(dead_letters).values(row).on_conflict_do_nothing())
        await message.term()

    async def replay(self, event_id: UUID) -> None:
        """Lets a dead letter take effect after all and removes it. Raises NotFound, or what the handler raises."""
        mine = (dead_letters.c.consumer == self.name) & (dead_letters.c.event_id == event_id)
        async with self._db.read() as read:
            row = (await read.execute(select(dead_letters.c.event).where(mine))).one_or_none()
        if row is None:
            raise NotFound("dead letter", event_id)
        await self.take(Event.FromString(row.event))
        async with self._db.transaction() as write:
            await write.execute(delete(dead_letters).where(mine))


def _id_of(message: Msg) -> UUID:
    """The id that the event was published under; where a message has none, for no relay sent it, one made of what it
    says."""
    try:
        return UUID((message.headers or {}).get("Nats-Msg-Id", ""))
    except ValueError:
        return uuid5(NAMESPACE_OID, f"{message.subject} {message.data.hex()}")


async def pull(nats: Client, name: str, subjects: list[str], receive: Callable[[Msg], Awaitable[None]]) -> None:
    """Feeds `receive` with the messages of the durable consumer `name`, one after the other, until cancelled."""
    jetstream = nats.jetstream(timeout=10)
    config = ConsumerConfig(
        durable_name=name,
        filter_subjects=subjects,
        ack_policy=AckPolicy.EXPLICIT,
        deliver_policy=DeliverPolicy.ALL,
        ack_wait=30,
        max_deliver=-1,
        max_ack_pending=1000,
    )
    while True:
        try:
            await ensure_stream(jetstream)
            await jetstream.add_consumer(STREAM, config)
            subscription = await jetstream.pull_subscribe_bind(durable=name, stream=STREAM)
            while True:
                try:
                    # Without a heartbeat: the client would ask for one too where the broker refuses it, and then drop
                    # what it had received, which would come again only after ack_wait.
                    messages = await subscription.fetch(BATCH, timeout=5)
                except TimeoutError:  # nothing came: the normal case
                    if await _lost(jetstream, name):
                        break
                    continue
                for message in messages:
                    await receive(message)
        except (NatsError, OSError, TimeoutError) as error:
            get_logger().warning("consumer waits", consumer=name, error=f"{type(error).__name__}: {error}"[:300])
            await asyncio.sleep(1)


async def _lost(jetstream: Any, name: str) -> bool:
    """Whether the durable consumer is gone, which a pull on a wiped stream doesn't tell."""
    try:
        await jetstream.consumer_info(STREAM, name)
    except NotFoundError:
        return True
    return False
