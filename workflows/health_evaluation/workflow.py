"""HealthEvaluation: one week of everybody's health. HealthTick: every week that is due."""

import asyncio
from collections import deque
from dataclasses import replace

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ChildWorkflowError, WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

from workflows.alert_fanout.types import FanoutOrder
from workflows.health_evaluation.display import details, summary
from workflows.health_evaluation.types import EvaluationOrder, EvaluationResult, Plan, Progress, RangeResult, with_found
from workflows.names import TaskQueue, alerts_workflow, health_workflow
from workflows.policies import ATTEMPT, PATIENT

IN_FLIGHT = 2
"""Ranges evaluated at the same time: as many statements as keep a database of two cores busy."""
RANGES_A_RUN = 500
"""After so many ranges the workflow goes on with a fresh history."""


@workflow.defn
class HealthEvaluation:
    """Evaluates all customers for one week, range by range, then fans the alerts out.

    Id: health/<ISO week>, health/<ISO week>/<n> for the week's n-th run. Started by HealthTick, and by the triggers on
    health.evaluation.requested. No updates, no signals. Ends when every range is done and the fan-outs are started.

    Every step may be repeated: a run that was cut off is started again under the same id and does what is left.
    """

    @workflow.init
    def __init__(self, order: EvaluationOrder) -> None:
        self._order = order
        self._progress = order.progress

    @workflow.run
    async def run(self, order: EvaluationOrder) -> EvaluationResult:
        self._show()
        if self._progress is None:
            plan = await workflow.execute_activity(
                "plan_evaluation",
                args=[order.week, order.number, order.actor],
                result_type=Plan,
                start_to_close_timeout=ATTEMPT,
                retry_policy=PATIENT,
                summary=f"plan {order.week}",
            )
            self._progress = Progress(plan)
        done = self._progress = await self._evaluate(self._progress)
        self._show()
        if done.next_range < done.plan.ranges:
            workflow.continue_as_new(replace(order, progress=done))
        await workflow.execute_activity(
            "finish_evaluation",
            args=[done.plan.run_id, order.actor],
            start_to_close_timeout=ATTEMPT,
            retry_policy=PATIENT,
            summary=f"finish {order.week}",
        )
        for number in done.changed_ranges:
            await self._fan_out(done.plan.run_id, number)
        return EvaluationResult(done.plan.run_id, done.customers, done.transitions)

    async def _evaluate(self, progress: Progress) -> Progress:
        """Evaluates ranges up to the next multiple of 500, two at a time; answers the progress with them."""
        end = min(progress.plan.ranges, (progress.next_range // RANGES_A_RUN + 1) * RANGES_A_RUN)
        waiting = deque(range(progress.next_range, end))
        found: dict[int, RangeResult] = {}

        async def work() -> None:
            while waiting:
                number = waiting.popleft()
                found[number] = await self._evaluate_range(progress.plan, number)
                shown = with_found(progress, found)
                workflow.set_current_details(details(self._order.week, self._order.number, shown))

        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
        return with_found(progress, found)

    async def _evaluate_range(self, plan: Plan, number: int) -> RangeResult:
        return await workflow.execute_activity(
            "evaluate_range",
            args=[plan.run_id, number, self._order.actor],
            result_type=RangeResult,
            start_to_close_timeout=ATTEMPT,
            retry_policy=PATIENT,
            summary=f"range {number + 1} of {plan.ranges}",
        )

    async def _fan_out(self, run_id: str, number: int) -> None:
        """Starts the fan-out of a range's alerts, which goes on by itself."""
        try:
            await workflow.start_child_workflow(
                "AlertFanout",
                FanoutOrder(run_id, number, self._order.week, actor=self._order.actor),
                id=alerts_workflow(run_id, str(number)),
                task_queue=TaskQueue.BATCH,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                parent_close_policy=ParentClosePolicy.ABANDON,
                static_summary=f"Alerts of {self._order.week}, range {number + 1}",
            )
        except WorkflowAlreadyStartedError:
            return  # by the try of this run that was cut off

    def _show(self) -> None:
        workflow.set_current_details(details(self._order.week, self._order.number, self._progress))


@workflow.defn
class HealthTick:
    """Sees to it that every week that is over gets its evaluation, the oldest first.

    Id: health-tick-<instant>, made by the schedule health-tick, which starts it each Monday, and once when it is new.
    No updates, no signals.
    Ends when no week is left that it has not seen to; weeks that come due meanwhile are its work too.

    One week after the other: the status before is that of the week before.
    """

    @workflow.run
    async def run(self) -> list[str]:
        seen: list[str] = []
        while due := [week for week in await self._unfinished() if week not in seen]:
            for week in due:
                workflow.set_current_details(f"evaluating **{week}**; done: {', '.join(seen) or 'none'}")
                await self._evaluate(week)
                seen.append(week)
        workflow.set_current_details(f"done: {', '.join(seen) or 'nothing was due'}")
        return seen

    async def _unfinished(self) -> list[str]:
        return await workflow.execute_activity(
            "list_unfinished_weeks",
            result_type=list[str],
            start_to_close_timeout=ATTEMPT,
            retry_policy=PATIENT,
            summary="weeks without a finished evaluation",
        )

    async def _evaluate(self, week: str) -> None:
        try:
            await workflow.execute_child_workflow(
                HealthEvaluation.run,
                EvaluationOrder(week),
                id=health_workflow(week),
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                parent_close_policy=ParentClosePolicy.ABANDON,
                static_summary=summary(week, 1),
            )
        except WorkflowAlreadyStartedError:
            workflow.logger.info("%s is under way or done", week)
        except ChildWorkflowError as error:
            # the next tick tries it again; later weeks must not wait for it
            workflow.logger.error("evaluation of %s failed: %s", week, error.cause)
