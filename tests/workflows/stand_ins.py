"""Activities that stand in for the services, under their real names, and what the workflows are about."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from temporalio import activity
from temporalio.exceptions import ApplicationError

from workflows.business_process.types import (
    Action,
    Order,
    ProcessRecord,
    Recorded,
    StageRecord,
    StartOrder,
    State,
    Transition,
)
from workflows.task_lifecycle.types import Notice, NoticeKind, RingAnswer, RingOutcome, TaskClock

ZONE = "Asia/Shanghai"


class TaskStandIn:
    """The tasks service's side of the clock, as far as this task goes."""

    def __init__(self, clock: TaskClock) -> None:
        self.row = clock
        self.rings: list[Notice] = []
        self.refusal: ApplicationError | None = None

    @activity.defn
    async def notice_task(self, task_id: str, notice: Notice) -> RingAnswer:
        assert task_id == self.row.task_id
        self.rings.append(notice)
        if self.refusal is not None:
            raise self.refusal
        if not self.row.open:
            return RingAnswer(RingOutcome.CLOSED, self.row)
        if notice.deadline_at != self.row.deadline_at:
            return RingAnswer(RingOutcome.MOVED, self.row)
        return RingAnswer(RingOutcome.NOTICED, self.row)

    def rung(self) -> list[tuple[NoticeKind, datetime]]:
        return [(ring.kind, ring.due_at) for ring in self.rings]


def a_task(*, deadline: timedelta = timedelta(days=12), remind: tuple[timedelta, ...] = ()) -> TaskClock:
    """An open task. `deadline` from now; `remind` before the deadline."""
    deadline_at = (datetime.now(UTC) + deadline).replace(microsecond=0)
    return TaskClock(
        task_id=str(uuid4()),
        customer_id=str(uuid4()),
        customer_label="ACME",
        theme_key="renewal",
        assignee_id=str(uuid4()),
        deadline_at=deadline_at,
        reminders_at=sorted(deadline_at - lead for lead in remind),
        version=1,
        open=True,
    )


class ProcessStandIn:
    """The tasks service's side of one process: its row, moved by the same rules in the smallest form."""

    def __init__(self, row: ProcessRecord | None = None) -> None:
        self.row = row
        self.recorded: list[Transition] = []
        self.asked: list[Transition] = []
        self.open_tasks = False
        self.some_done = True
        self.at_once = 0
        self.before_answering: Callable[[], Awaitable[None]] | None = None

    @property
    def activities(self) -> list[Callable[..., Any]]:
        return [self.record_start, self.load_process, self.record_transition, self.required_tasks_done]

    @activity.defn
    async def record_start(self, process_id: str, order: StartOrder) -> ProcessRecord:
        if order.definition_key != "delivery":
            raise ApplicationError("no such definition", b"status", type="PROCESS_DEFINITION_NOT_FOUND",
                                   non_retryable=True)  # fmt: skip
        if self.row is None:
            self.row = a_process(process_id)
        return self.row

    @activity.defn
    async def load_process(self, process_id: str) -> ProcessRecord:
        if self.row is None:
            raise ApplicationError("no such process", b"status", type="PROCESS_NOT_FOUND", non_retryable=True)
        return self.row

    @activity.defn
    async def required_tasks_done(self, record: ProcessRecord) -> bool:
        return self.some_done and not self.open_tasks

    @activity.defn
    async def record_transition(self, transition: Transition) -> Recorded:
        self.at_once += 1
        assert self.at_once == 1, "two transitions at the same time"
        try:
            await asyncio.sleep(0)
            answer = self._record(transition)
            if self.before_answering is not None:
                await self.before_answering()
            return answer
        finally:
            self.at_once -= 1

    def _record(self, transition: Transition) -> Recorded:
        assert self.row is not None
        self.asked.append(transition)
        if transition.action_id in (done.action_id for done in self.recorded):
            return Recorded(True, self.row)
        if transition.expected_revision != self.row.revision:
            return Recorded(False, self.row)
        if transition.action is Action.ADVANCE and self.open_tasks:
            raise ApplicationError("a required task is open", b"the status with the task", type="REQUIRED_TASKS_OPEN",
                                   non_retryable=True)  # fmt: skip
        self.row = moved(self.row, transition)
        self.recorded.append(transition)
        return Recorded(True, self.row)


def moved(row: ProcessRecord, transition: Transition) -> ProcessRecord:
    row = replace(row, revision=row.revision + 1)
    keys = [stage.key for stage in row.stages]
    match transition.action:
        case Action.PAUSE:
            return replace(row, state=State.PAUSED, stage_due_at=None)
        case Action.RESUME:
            return replace(row, state=State.RUNNING)
        case Action.TERMINATE:
            return replace(row, state=State.TERMINATED)
        case _:
            target = transition.to_stage_key or (keys[row.stage_index + 1 :] or [""])[0]
            return replace(row, stage_key=target) if target else replace(row, state=State.COMPLETED)


def a_process(process_id: str = "", **changes: Any) -> ProcessRecord:
    """A running process with four stages, s0 to s3; s1 advances by itself."""
    stages = [StageRecord(f"s{n}", f"阶段{n}", "AHEAD", 0, advances_by_itself=n == 1) for n in range(4)]
    record = ProcessRecord(
        id=process_id or str(uuid4()), customer_id=str(uuid4()), customer_label="ACME", definition_id=str(uuid4()),
        definition_key="delivery", definition_version=1, definition_name="标准交付", theme_key="delivery",
        state=State.RUNNING, stage_key="s0", stages=stages, stage_entered_at=datetime.now(UTC), stage_due_at=None,
        owner_id=str(uuid4()), revision=1, started_at=datetime.now(UTC), ended_at=None, allows_skipping=False,
    )  # fmt: skip
    return replace(record, **changes)


def an_order(action_id: str = "", *, to: str = "", fingerprint: str = "f", life: float = 60) -> Order:
    """`life`: seconds until it expires."""
    expires_at = datetime.now(UTC) + timedelta(seconds=life)
    return Order(action_id or str(uuid4()), fingerprint, str(uuid4()), expires_at, to)
