"""What Temporal itself costs: workflows and an activity that do nothing else."""

from datetime import timedelta

from temporalio import activity, workflow


@activity.defn
async def nothing() -> None:
    """Does nothing."""


@workflow.defn
class BareClock:
    """A workflow that does nothing but hold a timer."""

    @workflow.run
    async def run(self) -> None:
        await workflow.sleep(timedelta(days=10))


@workflow.defn
class BareOrders:
    """A workflow whose update runs one activity."""

    def __init__(self) -> None:
        self.ended = False

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: self.ended)

    @workflow.update
    async def order(self) -> None:
        await workflow.execute_activity(nothing, start_to_close_timeout=timedelta(seconds=10))
