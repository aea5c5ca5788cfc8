"""CustomersDay: one business day at customers. CustomersDayTick: every day that is due."""

from dataclasses import replace

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ChildWorkflowError, WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

from workflows.customers_day.display import details, summary
from workflows.customers_day.types import DayOrder, DayResult, Part, PartDone
from workflows.names import customers_day_workflow
from workflows.policies import ATTEMPT, HEARTBEAT, PATIENT, STEP


@workflow.defn
class CustomersDay:
    """Notices who churned on a business day, looks at segments that speak of today, and says that the day is done.

    Id: customers-day/<business date>. Started by CustomersDayTick. No updates, no signals.
    Ends when the day's row says that it is done.

    Every step may be repeated: the service notices nobody twice, and a segment is what its condition says.
    """

    @workflow.init
    def __init__(self, order: DayOrder) -> None:
        self._order = order

    @workflow.run
    async def run(self, order: DayOrder) -> DayResult:
        while self._order.part is not Part.FINISH:
            workflow.set_current_details(details(self._order))
            if self._order.part is Part.CHURN:
                await self._notice_churn()
            else:
                await self._refresh_segments()
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(self._order)
        workflow.set_current_details(details(self._order))
        await workflow.execute_activity(
            "finish_day",
            self._order.day,
            start_to_close_timeout=ATTEMPT,
            retry_policy=PATIENT,
            summary=f"{self._order.day} is done",
        )
        return DayResult(self._order.noticed, self._order.changed)

    async def _notice_churn(self) -> None:
        done = await self._step("notice_churn", [self._order.day, self._order.page_token])
        after = Part.SEGMENTS if self._order.newest else Part.FINISH
        self._order = replace(
            self._order,
            part=Part.CHURN if done.next_page_token else after,
            page_token=done.next_page_token,
            noticed=self._order.noticed + done.count,
        )

    async def _refresh_segments(self) -> None:
        done = await self._step("refresh_segments", [self._order.page_token])
        self._order = replace(
            self._order,
            part=Part.SEGMENTS if done.next_page_token else Part.FINISH,
            page_token=done.next_page_token,
            changed=self._order.changed + done.count,
        )

    async def _step(self, name: str, args: list[str]) -> PartDone:
        return await workflow.execute_activity(
            name,
            args=args,
            result_type=PartDone,
            start_to_close_timeout=STEP,
            heartbeat_timeout=HEARTBEAT,
            retry_policy=PATIENT,
        )


@workflow.defn
class CustomersDayTick:
    """Sees to it that every business day until today is done, the oldest first.

    Id: customers-day-tick-<instant>, made by the schedule customers-day-tick, which starts it each midnight, and once
    when it is new. No updates, no signals.
    Ends when no day is left that it has not seen to; days that come due meanwhile are its work too.
    """

    @workflow.run
    async def run(self) -> int:
        seen: list[str] = []
        while due := [day for day in await self._undone() if day not in seen]:
            for day in due:
                workflow.set_current_details(f"at **{day}**; {len(seen)} days done before")
                await self._do(DayOrder(day, newest=day == due[-1]))
                seen.append(day)
        workflow.set_current_details(f"{len(seen)} days done" if seen else "nothing was due")
        return len(seen)

    async def _undone(self) -> list[str]:
        return await workflow.execute_activity(
            "list_undone_days",
            result_type=list[str],
            start_to_close_timeout=ATTEMPT,
            retry_policy=PATIENT,
            summary="days that are not done",
        )

    async def _do(self, order: DayOrder) -> None:
        try:
            await workflow.execute_child_workflow(
                CustomersDay.run,
                order,
                id=customers_day_workflow(order.day),
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,  # the row is the truth, and says: not done
                parent_close_policy=ParentClosePolicy.ABANDON,
                static_summary=summary(order.day),
            )
        except WorkflowAlreadyStartedError:
            workflow.logger.info("%s is under way", order.day)
        except ChildWorkflowError as error:
            # the next tick tries it again; later days must not wait for it
            workflow.logger.error("the work of %s failed: %s", order.day, error.cause)
