"""BusinessProcess: one process of a customer, from its first stage to its end."""

import asyncio
import contextlib
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from workflows.attributes import changes
from workflows.business_process.display import details, search_attributes
from workflows.business_process.stages import objection
from workflows.business_process.steps import Unanswered, call, refusal, step_summary
from workflows.business_process.types import (
    Action,
    Order,
    ProcessInput,
    ProcessRecord,
    Recorded,
    StartOrder,
    State,
    TaskClosed,
    Transition,
)
from workflows.policies import ORDER_LIFE
from workflows.times import in_zone

SEEN_ACTIONS = 100
"""So many of the latest actions are remembered; older ones the row's owner remembers."""


@workflow.defn
class BusinessProcess:
    """Moves a process through its stages and is the only writer of its row.

    Id: process/<process id>. Started by ProcessesService together with the update `start`, or by the sweep for a row
    that has no workflow.
    Updates: start, advance, return_to, pause, resume, terminate; each is answered with the row as it is then.
    Signals: task_closed (a required task was completed), row_moved (the row is newer than the workflow).
    Ends when the process is completed or terminated, or was never opened.

    Actions are made one at a time. The row is the truth: where it isn't at the revision that the workflow knows, the
    workflow takes it as it is and looks again whether the action is allowed.
    """

    @workflow.init
    def __init__(self, start: ProcessInput) -> None:
        self._id = start.process_id
        self._zone = start.zone
        self._record = start.record
        self._seen = dict(start.seen)
        self._task_closed = start.task_closed
        self._closed_elsewhere: set[str] = set()
        self._load = start.load
        self._gone = False
        self._changes = 0
        self._lock = asyncio.Lock()

    @workflow.run
    async def run(self, start: ProcessInput) -> None:
        if self._record is None:
            await self._open()
        while True:
            while self._record is not None and not self._record.state.ended:
                await self._live(self._record)
            if self._record is not None:
                self._show(self._record)
            await workflow.wait_condition(workflow.all_handlers_finished)
            if self._record is None or self._record.state.ended:
                return

    async def _live(self, record: ProcessRecord) -> None:
        """Shows the process as it is and does what comes next."""
        self._show(record)
        if self._may_move_on(record):
            await self._move_on()
        else:
            await self._wait(record)
        if workflow.info().is_continue_as_new_suggested():
            await workflow.wait_condition(workflow.all_handlers_finished)
            workflow.continue_as_new(
                ProcessInput(self._id, self._zone, False, self._record, self._seen, self._task_closed)
            )

    # --- what people order

    @workflow.update
    async def start(self, order: StartOrder) -> ProcessRecord:
        """Opens the process. A repeat is answered with the row."""
        async with self._lock:
            if self._record is not None:
                return self._record
            try:
                self._refuse_expired(order.expires_at)
                summary = f"start {order.definition_key}"
                record = await call(
                    "record_start", self._id, order, result=ProcessRecord, summary=summary, until=order.expires_at
                )
            except Unanswered:
                raise refusal("UNAVAILABLE", "OUTCOME_UNKNOWN", "the start may still take effect") from None
            else:
                self._take(record)
                return record
            finally:
                self._load = self._record is None  # refused, or nobody knows: the row tells
                self._changes += 1

    @workflow.update
    async def advance(self, order: Order) -> ProcessRecord:
        """Leaves the present stage forward; from the last stage, completes the process."""
        return await self._carry_out(Action.ADVANCE, order)

    @workflow.update
    async def return_to(self, order: Order) -> ProcessRecord:
        """Goes back to an earlier stage."""
        return await self._carry_out(Action.RETURN, order)

    @workflow.update
    async def pause(self, order: Order) -> ProcessRecord:
        """Holds the process."""
        return await self._carry_out(Action.PAUSE, order)

    @workflow.update
    async def resume(self, order: Order) -> ProcessRecord:
        """Takes a held process up again."""
        return await self._carry_out(Action.RESUME, order)

    @workflow.update
    async def terminate(self, order: Order) -> ProcessRecord:
        """Gives the process up."""
        return await self._carry_out(Action.TERMINATE, order)

    @advance.validator
    def _check_advance(self, order: Order) -> None:
        self._check(Action.ADVANCE, order)

    @return_to.validator
    def _check_return(self, order: Order) -> None:
        self._check(Action.RETURN, order)

    @pause.validator
    def _check_pause(self, order: Order) -> None:
        self._check(Action.PAUSE, order)

    @resume.validator
    def _check_resume(self, order: Order) -> None:
        self._check(Action.RESUME, order)

    @terminate.validator
    def _check_terminate(self, order: Order) -> None:
        self._check(Action.TERMINATE, order)

    # --- what others tell

    @workflow.signal
    def task_closed(self, task: TaskClosed) -> None:
        """A required task of a stage was completed; remembered while the process is paused.

        Also that of another stage: the row may have entered it already, while the answer is still on its way here.
        """
        if self._record is None or task.stage_key == self._record.stage_key:
            self._task_closed = True
            self._changes += 1
        else:
            self._closed_elsewhere.add(task.stage_key)

    @workflow.signal
    def row_moved(self, record: ProcessRecord) -> None:
        """The row is newer than what the workflow knew, as after a restored backup of Temporal."""
        if self._record is None or record.revision > self._record.revision:
            self._take(record)

    # --- how it is done

    def _check(self, action: Action, order: Order) -> None:
        """Raises ApplicationError where the order can't be carried out, as far as the workflow knows."""
        self._refuse_expired(order.expires_at)
        if (fingerprint := self._seen.get(order.action_id)) is not None:
            if fingerprint != order.fingerprint:
                raise refusal("ALREADY_EXISTS", "REQUEST_ID_REUSED", "the request_id was used for another request")
            return
        if self._record is None:
            return
        wrong = objection(self._record, action, order.to_stage_key)
        if wrong is not None:
            raise refusal(wrong.code, wrong.reason, wrong.message, self._record.revision)

    def _refuse_expired(self, expires_at: datetime) -> None:
        if expires_at < workflow.now():
            message = "the order could not be begun in time and was dropped; send it anew"
            raise refusal("FAILED_PRECONDITION", "ORDER_EXPIRED", message)

    async def _carry_out(self, action: Action, order: Order) -> ProcessRecord:
        """Makes the action's transition, once. Raises nothing but ApplicationError."""
        await workflow.wait_condition(lambda: self._record is not None or self._gone)
        async with self._lock:
            for _ in range(2):  # the row may be newer than what the workflow knows; then once more on what is true
                if self._record is None:
                    raise refusal("NOT_FOUND", "PROCESS_NOT_FOUND", f"no process {self._id}")
                self._check(action, order)  # again: others may have had the lock before
                if order.action_id in self._seen:
                    return self._record
                known = self._record
                recorded = await self._record_transition(known, action, order)
                if recorded:
                    self._remember(order)
                    return self._record
        raise refusal("ABORTED", "PROCESS_MOVED", "somebody else moved the process meanwhile; read it and try again")

    async def _record_transition(self, known: ProcessRecord, action: Action, order: Order) -> bool:
        """Whether the row was moved; takes the row as it is after."""
        transition = Transition(
            self._id, known.revision, order.action_id, action, order.to_stage_key, order.actor, order.acting_for
        )
        try:
            summary = step_summary(known, action, order.to_stage_key)
            answer = await call(
                "record_transition", transition, result=Recorded, summary=summary, until=order.expires_at
            )
        except Unanswered:
            # Whether the last attempt arrived shows the row: nobody else moves it while the lock is held.
            self._take(await call("load_process", self._id, result=ProcessRecord, summary="what became of it"))
            if self._record is not None and self._record.revision != known.revision:
                return True
            self._refuse_expired(order.expires_at)
            return False
        self._take(answer.record)
        return answer.recorded

    def _may_move_on(self, record: ProcessRecord) -> bool:
        return self._task_closed and record.state is State.RUNNING and record.stage.advances_by_itself

    async def _move_on(self) -> None:
        """Leaves a stage that advances by itself, where its required tasks are done. Open ones are a normal no."""
        async with self._lock:
            record = self._record
            if record is None or record.state.ended or not self._may_move_on(record):
                return
            self._task_closed = False
            try:
                if not await call("required_tasks_done", record, result=bool, summary="required tasks done?"):
                    return
                # Named after the revision that it leaves, so that it can't happen twice.
                action_id = f"auto/{self._id}/{record.revision}"
                transition = Transition(self._id, record.revision, action_id, Action.ADVANCE, "", "")
                summary = step_summary(record, Action.ADVANCE, "")
                answer = await call("record_transition", transition, result=Recorded, summary=summary)
            except ApplicationError as no:
                workflow.logger.info("stays in its stage: %s %s", no.type, no.message)
                return
            self._take(answer.record)
            if not answer.recorded and answer.record.stage_key == record.stage_key:
                self._task_closed = True

    async def _open(self) -> None:
        """Waits for the update that opens the process, or reads its row where that is how it began or the update
        failed."""
        if not self._load:
            with contextlib.suppress(asyncio.TimeoutError):  # Temporal keeps no update that no worker has taken yet
                await workflow.wait_condition(
                    lambda: self._record is not None or self._load,
                    timeout=ORDER_LIFE,
                    timeout_summary="waits for the order to start",
                )
        async with self._lock:
            if self._record is not None:
                return
            try:
                self._take(await call("load_process", self._id, result=ProcessRecord, summary="read the row"))
            except ApplicationError as no:
                workflow.logger.info("there is no such process: %s", no.type)
                self._gone = True
                return
            self._task_closed = True  # a completed task may have been told while there was no workflow

    async def _wait(self, record: ProcessRecord) -> None:
        """Until something changed or the stage's time is up."""
        known = self._changes

        def woken() -> bool:
            return self._changes != known or workflow.info().is_continue_as_new_suggested()

        due_at = record.due_at
        if due_at is None or due_at <= workflow.now():
            await workflow.wait_condition(woken)
            return
        summary = f"{record.stage.name} due {in_zone(due_at, self._zone)}"
        try:
            await workflow.wait_condition(woken, timeout=due_at - workflow.now(), timeout_summary=summary)
        except TimeoutError:
            return

    def _take(self, record: ProcessRecord) -> None:
        if self._record is not None and record.stage_key != self._record.stage_key:
            self._task_closed = record.stage_key in self._closed_elsewhere
            self._closed_elsewhere.clear()
        self._record = record
        self._changes += 1

    def _remember(self, order: Order) -> None:
        self._seen[order.action_id] = order.fingerprint
        while len(self._seen) > SEEN_ACTIONS:
            del self._seen[next(iter(self._seen))]

    def _show(self, record: ProcessRecord) -> None:
        overdue = record.due_at is not None and record.due_at <= workflow.now()
        changed = changes(search_attributes(record, overdue), workflow.info().typed_search_attributes)
        if changed:
            workflow.upsert_search_attributes(changed)
        workflow.set_current_details(details(record, overdue, self._zone))
