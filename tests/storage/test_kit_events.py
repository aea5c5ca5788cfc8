"""From the outbox through NATS into a consumer: nothing lost, nothing twice, whatever is away."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError
from sqlalchemy import func, select
from sqlalchemy.exc import TimeoutError as PoolTimeout

from kejing.common.v1.events_pb2 import Event
from kejing.identity.v1 import events_pb2
from services.shared.clock import utc_now
from services.shared.db import Database, Write
from services.shared.db.tables import dead_letters, outbox
from services.shared.messaging import consumer
from services.shared.messaging.broker import STREAM, connect
from services.shared.messaging.consumer import MAX_DELIVERIES, Consumer
from services.shared.messaging.envelope import subject_of, to_envelope
from services.shared.messaging.relay import run_relay
from services.shared.runtime import end
from tests.support.eventually import eventually
from tests.support.infrastructure import TestInfrastructure


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def servers() -> AsyncIterator[TestInfrastructure]:
    """Servers of this module's own, because they are killed and emptied here."""
    running = TestInfrastructure()
    yield running
    await running.close()


@dataclass
class Pipe:
    """A publisher and a consumer on one database; `taken` holds the logins that took effect."""

    db: Database
    nats: Client
    name: str
    taken: list[str] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    consumer: Consumer = field(init=False)

    def __post_init__(self) -> None:
        self.consumer = Consumer(self.db, self.nats, self.name, {events_pb2.EmployeesChanged: self.take})

    async def take(self, _write: Write, _event: Event, payload: events_pb2.EmployeesChanged) -> None:
        login = payload.employees[0].login
        if login in self.failing:
            raise ValueError("this one can't be taken")
        self.taken.append(login)

    async def emit(self, *logins: str) -> None:
        async with self.db.transaction(actor="machine:test") as write:
            for login in logins:
                write.emit(events_pb2.EmployeesChanged(employees=[events_pb2.EmployeeFacts(login=login)]))

    async def unpublished(self) -> int:
        async with self.db.read() as read:
            waiting = select(func.count()).select_from(outbox).where(outbox.c.published_at.is_(None))
            return int((await read.execute(waiting)).scalar_one())


@asynccontextmanager
async def a_pipe(servers: TestInfrastructure, name: str) -> AsyncIterator[Pipe]:
    async with servers.new_database("identity") as url:
        pipe = Pipe(Database(url, utc_now), Client(), name)
        loops = [connect(pipe.nats, await servers.nats_url("identity"), name), run_relay(pipe.db, pipe.nats),
                 pipe.consumer.run()]  # fmt: skip
        tasks = [asyncio.ensure_future(loop) for loop in loops]
        try:
            yield pipe
        finally:
            await end(tasks)
            await pipe.nats.close()
            await pipe.db.close()


async def test_events_arrive_once_and_in_the_order_of_their_commit(servers: TestInfrastructure) -> None:
    async with a_pipe(servers, "order") as pipe:
        logins = [f"order{number}" for number in range(300)]
        for start in range(0, 300, 100):
            await pipe.emit(*logins[start : start + 100])

        async def mine() -> bool:
            return [login for login in pipe.taken if login.startswith("order")] == logins

        await eventually(mine)


async def test_an_event_that_arrives_while_another_is_taken_follows_at_once(servers: TestInfrastructure) -> None:
    """It arrives by a pull that outlived its fetch, as where the broker's clock is a little behind the client's."""
    async with a_pipe(servers, "meanwhile") as pipe:

        async def take_slowly(write: Write, event: Event, payload: events_pb2.EmployeesChanged) -> None:
            if payload.employees[0].login == "meanwhile1":
                [inbox] = [sub.subject for sub in pipe.nats._subs.values() if not sub.subject.endswith("*")]
                pull = b'{"batch": 5, "expires": 20000000000}'
                await pipe.nats.publish(f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.meanwhile", pull, inbox)
                await pipe.emit("meanwhile2")

                async def arrived() -> bool:
                    return any(sub.pending_msgs for sub in pipe.nats._subs.values())

                await eventually(arrived)
            pipe.taken.append(payload.employees[0].login)

        pipe.consumer._handlers = {"identity.employees.changed": (events_pb2.EmployeesChanged, take_slowly)}
        await pipe.emit("meanwhile1")

        async def both() -> bool:
            return {"meanwhile1", "meanwhile2"} <= set(pipe.taken)

        await eventually(both)  # well within the minute after which the broker delivers again


async def test_an_event_delivered_again_has_no_second_effect(servers: TestInfrastructure) -> None:
    async with a_pipe(servers, "twice") as pipe:
        await pipe.emit("twice")

        async def arrived() -> bool:
            return "twice" in pipe.taken

        await eventually(arrived)
        async with pipe.db.read() as read:
            newest = select(outbox.c.event).order_by(outbox.c.position.desc()).limit(1)
            event = Event.FromString((await read.execute(newest)).scalar_one())
        assert await pipe.consumer.take(event) is False
        assert pipe.taken.count("twice") == 1


async def test_an_event_that_keeps_failing_becomes_a_dead_letter_and_holds_up_no_other(
    servers: TestInfrastructure,
) -> None:
    async with a_pipe(servers, "poison") as pipe:
        pipe.failing.add("poison")
        await pipe.emit("poison", "after-poison")

        async def letter() -> object:
            async with pipe.db.read() as read:
                return (
                    await read.execute(select(dead_letters).where(dead_letters.c.consumer == "poison"))
                ).one_or_none()

        dead = await eventually(letter, within=60)
        assert "after-poison" in pipe.taken
        assert MAX_DELIVERIES == 5
        pipe.failing.clear()
        await pipe.consumer.replay(dead.event_id)  # type: ignore[attr-defined]
        assert pipe.taken.count("poison") == 1
        assert await letter() is None


async def test_what_is_no_event_and_has_no_id_becomes_a_dead_letter_and_ends_no_consumer(
    servers: TestInfrastructure,
) -> None:
    async with a_pipe(servers, "nonsense") as pipe:

        async def taken(login: str) -> bool:
            return login in pipe.taken

        await pipe.emit("before-nonsense")
        await eventually(partial(taken, "before-nonsense"))
        subject, nonsense = subject_of(events_pb2.EmployeesChanged()), b"\xff\xff not an event"
        for headers in (None, {"Nats-Msg-Id": "no id"}):
            await pipe.nats.jetstream().publish(subject, nonsense, headers=headers)
        await pipe.emit("after-nonsense")
        await eventually(partial(taken, "after-nonsense"))
        async with pipe.db.read() as read:
            letters = select(dead_letters.c.event).where(dead_letters.c.consumer == "nonsense")
            assert (await read.execute(letters)).scalars().all() == [nonsense]


async def test_a_consumer_waits_for_a_free_connection_and_makes_no_dead_letter_meanwhile(
    servers: TestInfrastructure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "MAX_DELIVERIES", 1)
    async with a_pipe(servers, "busy") as pipe:

        async def taken(login: str) -> bool:
            return login in pipe.taken

        await pipe.emit("idle before")
        await eventually(partial(taken, "idle before"))
        pool: Any = pipe.db._writes.sync_engine.pool
        pool._timeout = 0.1
        payload = events_pb2.EmployeesChanged(employees=[events_pb2.EmployeeFacts(login="busy")])
        event = to_envelope(payload, occurred_at=utc_now(), actor="machine:test", request_id="")
        async with AsyncExitStack() as held:
            for _ in range(pool.size()):
                await eventually(partial(_hold, held, pipe.db))
            await pipe.nats.jetstream().publish(
                subject_of(payload), event.SerializeToString(), headers={"Nats-Msg-Id": event.id}
            )

            async def delivered_again() -> bool:
                return bool((await pipe.nats.jetstream().consumer_info(STREAM, "busy")).num_redelivered)

            await eventually(delivered_again)
        await eventually(partial(taken, "busy"))
        async with pipe.db.read() as read:
            buried = select(dead_letters).where(dead_letters.c.event_id == UUID(event.id))
            assert not (await read.execute(buried)).all()


async def _hold(held: AsyncExitStack, db: Database) -> bool:
    try:
        await held.enter_async_context(db._writes.connect())
    except PoolTimeout:
        return False
    return True


async def test_what_is_committed_while_nats_is_dead_arrives_when_it_is_back(servers: TestInfrastructure) -> None:
    async with a_pipe(servers, "outage") as pipe:
        await pipe.emit("before")

        async def before() -> bool:
            return "before" in pipe.taken

        await eventually(before)
        await servers.kill("nats")
        await pipe.emit("during")
        assert await pipe.unpublished() == 1
        await servers.restart("nats")

        async def during() -> bool:
            return pipe.taken.count("during") == 1 and await pipe.unpublished() == 0

        await eventually(during, within=60)


async def test_a_wiped_stream_is_filled_again_and_nothing_takes_effect_twice(servers: TestInfrastructure) -> None:
    async with a_pipe(servers, "wiped") as pipe:
        await pipe.emit("kept")

        async def kept() -> bool:
            return "kept" in pipe.taken

        await eventually(kept)
        await servers.kill("nats")
        shutil.rmtree(servers.home.path / "nats" / "jetstream")
        await servers.restart("nats")
        await pipe.emit("new")

        async def refilled() -> bool:
            try:
                messages = (await pipe.nats.jetstream().stream_info(STREAM)).state.messages
            except NotFoundError:
                return False
            return messages >= 2 and "new" in pipe.taken

        await eventually(refilled, within=60)
        assert pipe.taken.count("kept") == 1


async def test_a_stream_that_was_wiped_under_running_services_is_filled_again_though_nothing_new_happens(
    servers: TestInfrastructure,
) -> None:
    async with a_pipe(servers, "idle") as pipe:
        await pipe.emit("idle")

        async def kept() -> bool:
            return "idle" in pipe.taken and await pipe.unpublished() == 0

        await eventually(kept)
        await servers.kill("nats")
        shutil.rmtree(servers.home.path / "nats" / "jetstream")
        await servers.restart("nats")

        async def refilled() -> bool:
            try:
                return (await pipe.nats.jetstream().stream_info(STREAM)).state.messages >= 1
            except NatsError:
                return False

        await eventually(refilled, within=30)
        assert pipe.taken.count("idle") == 1
