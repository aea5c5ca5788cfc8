"""AlertFanout: the alerts of one range, page by page."""

from dataclasses import replace

from temporalio import workflow

from workflows.alert_fanout.types import AlertPage, FanoutOrder, FanoutResult
from workflows.policies import ATTEMPT, PATIENT


@workflow.defn
class AlertFanout:
    """Raises the alerts of a range's transitions and brings each into the inbox of every owner of its customer.

    Id: alerts/<run id>/<range>. Started by HealthEvaluation, which does not wait for it, and by the sweep where a
    range still owes alerts. No updates, no signals.
    Ends when the last page is delivered and the range's row says so.

    Each alert once a recipient however often anything is retried: both services know what they did.
    """

    @workflow.run
    async def run(self, order: FanoutOrder) -> FanoutResult:
        while True:
            page = await workflow.execute_activity(
                "raise_alerts",
                args=[order.run_id, order.key_range, order.page_token, order.actor],
                result_type=AlertPage,
                start_to_close_timeout=ATTEMPT,
                retry_policy=PATIENT,
                summary=f"alerts after the first {order.raised}",
            )
            order = replace(
                order,
                page_token=page.next_page_token,
                raised=order.raised + len(page.alerts),
                delivered=order.delivered + (await self._deliver(page, order.actor) if page.alerts else 0),
            )
            workflow.set_current_details(
                f"**{order.week}**, range {order.key_range + 1}: "
                f"{order.raised} alerts raised, {order.delivered} inbox items delivered"
            )
            if not page.next_page_token:
                if workflow.patched("mark-range-alerted"):  # else begun before ranges knew
                    await self._mark(order)
                return FanoutResult(order.raised, order.delivered)
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(order)

    async def _deliver(self, page: AlertPage, actor: str) -> int:
        return await workflow.execute_activity(
            "deliver_alerts",
            args=[page.alerts, actor],
            result_type=int,
            start_to_close_timeout=ATTEMPT,
            retry_policy=PATIENT,
            summary=f"{len(page.alerts)} alerts to their owners",
        )

    async def _mark(self, order: FanoutOrder) -> None:
        await workflow.execute_activity(
            "mark_range_alerted",
            args=[order.run_id, order.key_range, order.actor],
            start_to_close_timeout=ATTEMPT,
            retry_policy=PATIENT,
            summary="the range owes no alerts any more",
        )
