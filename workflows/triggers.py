"""Triggers: events start workflows or are told to them, by ids derived from what they are about.

No inbox is needed: starting twice is starting once, and a clock takes only newer facts. An event is acknowledged when
Temporal has taken its effect; while Temporal is away events wait for as long as it takes.
"""

import asyncio
from datetime import UTC, timedelta
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
from nats.aio.client import Client as Nats
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from temporalio.client import Client
from temporalio.common import Priority
from temporalio.service import RPCError, RPCStatusCode

from kejing.common.v1.events_pb2 import Event
from kejing.customers.v1.events_pb2 import ImportChanged
from kejing.health.v1.events_pb2 import EvaluationRequested
from kejing.tasks.v1 import task_pb2, tasks_service_pb2
from kejing.tasks.v1.events_pb2 import TaskChanged
from services.shared.clock import utc_now
from services.shared.logging import bind, get_logger
from services.shared.messaging.consumer import pull
from services.shared.messaging.envelope import subject_of, type_of
from workflows.business_process.types import TaskClosed
from workflows.clients import Clients
from workflows.customer_import.starting import send_import
from workflows.health_evaluation.starting import start_requested
from workflows.names import process_workflow
from workflows.pace import BULK_STARTS_PER_SECOND, Pace
from workflows.policies import BULK
from workflows.task_lifecycle.facts import to_clock
from workflows.task_lifecycle.starting import send_clock

NAME = "triggers"
AT_ONCE = 16
"""So many effects of people's doing run at the same time."""
IN_HAND = 500
"""So many events are held at most; more stay in the stream."""
AGAIN_SECONDS = 1.0
LATE = timedelta(seconds=10)
"""An event that is older, or that was delivered before, may come after a later one about the same task."""
BULK_ORIGINS = (task_pb2.TASK_ORIGIN_RULE, task_pb2.TASK_ORIGIN_ALERT)
"""Tasks that come in masses: their clocks start at a lower priority and a limited rate."""


class Triggers:
    """Turns events into effects: those about one thing in their order, others at once."""

    def __init__(self, temporal: Client, nats: Nats, clients: Clients, zone: str) -> None:
        self._temporal = temporal
        self._nats = nats
        self._tasks = clients.tasks
        self._zone = zone
        self._payloads: dict[str, type[Message]] = {
            type_of(p): p for p in (TaskChanged, EvaluationRequested, ImportChanged)
        }
        self._in_hand = asyncio.Semaphore(IN_HAND)
        self._people = asyncio.Semaphore(AT_ONCE)
        self._bulk = asyncio.Semaphore(2)
        self._imports = asyncio.Semaphore(2)
        self._pace = Pace(BULK_STARTS_PER_SECOND)
        self._latest: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Consumes until cancelled; an outage of NATS or Temporal is waited out."""
        try:
            await pull(self._nats, NAME, sorted(subject_of(p) for p in self._payloads.values()), self._receive)
        finally:
            for task in list(self._latest.values()):
                task.cancel()

    async def _receive(self, message: Msg) -> None:
        try:
            event = Event.FromString(message.data)
            payload: Any = self._payloads[event.type]()
            if not event.payload.Unpack(payload):
                raise DecodeError(f"{event.type} holds {event.payload.type_url}")
        except (DecodeError, KeyError) as error:
            get_logger().error("an event can't be read", subject=message.subject, error=str(error)[:300])
            await message.term()
            return
        key = _about(payload)
        await self._in_hand.acquire()
        task = asyncio.create_task(self._handle(message, event, payload, self._latest.get(key)))
        self._latest[key] = task
        task.add_done_callback(lambda done: self._finished(key, done))

    def _finished(self, key: str, task: asyncio.Task[None]) -> None:
        self._in_hand.release()
        if self._latest.get(key) is task:
            del self._latest[key]

    async def _handle(self, message: Msg, event: Event, payload: Any, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        lane = self._lane(payload)
        with bind(event_id=event.id, event_type=event.type):
            async with lane:
                if lane is self._bulk:
                    await self._pace.turn()
                try:
                    await self._until_taken(message, event, payload)
                except NatsError as error:  # not acknowledged: it comes again, and starting twice is starting once
                    get_logger().warning("an event was not acknowledged", error=str(error)[:300])

    def _lane(self, payload: Any) -> asyncio.Semaphore:
        """What limits how many effects like this one run at the same time; masses must not delay people."""
        match payload:
            case TaskChanged() if payload.facts.origin in BULK_ORIGINS:
                return self._bulk
            case ImportChanged():
                return self._imports
        return self._people

    async def _until_taken(self, message: Msg, event: Event, payload: Any) -> None:
        """Lets the effect happen, for as long as it takes; a later event about the same thing waits meanwhile."""
        while True:
            try:
                if isinstance(payload, EvaluationRequested):
                    await start_requested(self._temporal, payload, event.actor)
                elif isinstance(payload, ImportChanged):
                    await send_import(self._temporal, payload.import_id, running=payload.running)
                elif not await self._overtaken(message, event, payload):
                    await self._of_task(payload)
            except (RPCError, grpc.aio.AioRpcError) as error:
                if isinstance(error, RPCError) and error.status is RPCStatusCode.INVALID_ARGUMENT:
                    get_logger().error("temporal refuses an event's effect", error=error.message[:300])
                    await message.term()
                    return
                get_logger().warning("trigger waits", error=f"{type(error).__name__}: {error}"[:300])
                await message.in_progress()
                await asyncio.sleep(AGAIN_SECONDS)
            except Exception as error:
                get_logger().error("trigger failed", exc_info=error)
                await message.nak(delay=30)
                return
            else:
                get_logger().info("event taken", about=_about(payload))
                await message.ack()
                return

    async def _overtaken(self, message: Msg, event: Event, payload: TaskChanged) -> bool:
        """Whether a late event tells of an open task that is closed by now: its clock has ended or will, and must not
        be started again."""
        age = utc_now() - event.occurred_at.ToDatetime(UTC)
        if (message.metadata.num_delivered == 1 and age < LATE) or not to_clock(payload.facts).open:
            return False
        try:
            answer = await self._tasks.GetTask(tasks_service_pb2.GetTaskRequest(task_id=payload.facts.task_id))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return True
            raise
        return answer.task.HasField("closed_at")

    async def _of_task(self, payload: TaskChanged) -> None:
        """The task's clock learns of the change; its process learns that a required task was completed."""
        facts = payload.facts
        priority = BULK if facts.origin in BULK_ORIGINS else Priority.default
        await send_clock(self._temporal, to_clock(facts), self._zone, priority=priority)
        if facts.state == task_pb2.TASK_STATE_DONE and facts.process_id and facts.required:
            closed = TaskClosed(facts.task_id, facts.stage_key, facts.version)
            handle = self._temporal.get_workflow_handle(process_workflow(facts.process_id))
            try:
                await handle.signal("task_closed", closed)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:  # ended; or lost, then the sweep finds it
                    raise


def _about(payload: Any) -> str:
    """The id of what an event is about: events about one thing take effect in their order."""
    about: str
    match payload:
        case TaskChanged():
            about = payload.facts.task_id
        case ImportChanged():
            about = payload.import_id
        case _:
            about = payload.run_id
    return about
