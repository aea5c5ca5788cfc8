"""TaskLifecycle: the clock of one task."""

from dataclasses import replace

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from workflows.attributes import changes
from workflows.policies import ATTEMPT, PATIENT
from workflows.task_lifecycle.deadline import next_notice, still_rung
from workflows.task_lifecycle.display import details, search_attributes
from workflows.task_lifecycle.types import ClockState, Notice, RingAnswer, RingOutcome, TaskClock
from workflows.times import in_zone


@workflow.defn
class TaskLifecycle:
    """Reminds of a task's deadline and says when it has passed.

    Id: task/<task id>. Started by the triggers on tasks.task.changed, and by the sweep.
    Signals: task_changed (newer facts), recheck (the row as it is, whatever was known).
    Ends when the task is completed or cancelled; a task that is reopened gets a new run.

    The row is the truth: a ring names the deadline that it was set for, and the service's answer sets the clock right.
    """

    @workflow.init
    def __init__(self, state: ClockState) -> None:
        self._clock = state.clock
        self._zone = state.zone
        self._rung = list(state.rung)
        self._changes = 0

    @workflow.run
    async def run(self, state: ClockState) -> None:
        while self._clock.open:
            self._show()
            notice = next_notice(self._clock, self._rung, workflow.now())
            if notice is not None and notice.due_at <= workflow.now():
                await self._ring(notice)
            else:
                await self._wait(notice)
            if workflow.info().is_continue_as_new_suggested() and self._clock.open:
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(ClockState(self._clock, self._zone, self._rung))
        await workflow.wait_condition(workflow.all_handlers_finished)

    @workflow.signal
    def task_changed(self, clock: TaskClock) -> None:
        """The task changed; applies only a newer version."""
        if clock.version > self._clock.version:
            self._set(clock)

    @workflow.signal
    def recheck(self, clock: TaskClock) -> None:
        """The row holds a notice that is due and not given: the clock is set to it and may ring again.

        Also right where the row is older than what the clock knew, as after a restored backup.
        """
        self._rung = []
        self._set(clock)

    def _set(self, clock: TaskClock) -> None:
        self._clock = clock
        self._rung = still_rung(self._rung, clock)
        self._changes += 1

    async def _wait(self, notice: Notice | None) -> None:
        """Until the notice is due or the task changed."""
        known = self._changes

        def woken() -> bool:
            return self._changes != known or workflow.info().is_continue_as_new_suggested()

        if notice is None:
            await workflow.wait_condition(woken)
            return
        try:
            await workflow.wait_condition(
                woken,
                timeout=notice.due_at - workflow.now(),
                timeout_summary=f"{notice.kind.lower()} {in_zone(notice.due_at, self._zone)}",
            )
        except TimeoutError:
            return

    async def _ring(self, notice: Notice) -> None:
        """Lets the service tell people, and sets the clock to what the service answers."""
        known = self._changes
        try:
            answer = await workflow.execute_activity(
                "notice_task",
                args=[self._clock.task_id, notice],
                result_type=RingAnswer,
                start_to_close_timeout=ATTEMPT,
                retry_policy=PATIENT,
                summary=f"{notice.kind.lower()} due {in_zone(notice.due_at, self._zone)}",
            )
        except ActivityError as error:
            if not isinstance(error.cause, ApplicationError):
                raise
            workflow.logger.warning("ring refused: %s %s", error.cause.type, error.cause.message)
            gone = error.cause.type == "TASK_NOT_FOUND"
            answer = RingAnswer(RingOutcome.CLOSED, replace(self._clock, open=self._clock.open and not gone))
        self._rung.append(notice)
        if self._changes == known or answer.clock.version > self._clock.version:
            self._set(answer.clock)

    def _show(self) -> None:
        """What operators read and filter by."""
        overdue = self._clock.deadline_at <= workflow.now()
        changed = changes(search_attributes(self._clock, overdue), workflow.info().typed_search_attributes)
        if changed:
            workflow.upsert_search_attributes(changed)
        workflow.set_current_details(details(self._clock, overdue, self._zone))
