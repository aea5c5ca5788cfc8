"""CustomerImport: a file of another system goes in, step by step."""

from functools import partial

from temporalio import workflow

from workflows.customer_import.display import details
from workflows.customer_import.types import ENDED, ImportOrder, State, Step
from workflows.policies import HEARTBEAT, PATIENT, STEP


@workflow.defn
class CustomerImport:
    """Lets an import get on until it has ended. The row says how far it is; this is its clock.

    Id: import/<import id>. Started by the triggers on customers.import.changed, and by the sweep and the rebuild where
    an import runs and has no workflow.
    Signal import_changed: somebody paused, resumed or cancelled it, or nobody knows what became of it; it looks.
    Ends when the import is done, cancelled or failed; rests while it is paused.

    Every step may be repeated: the service does each part of the file once.
    """

    @workflow.init
    def __init__(self, order: ImportOrder) -> None:
        self._order = order
        self._changes = 0

    @workflow.run
    async def run(self, order: ImportOrder) -> Step:
        while True:
            seen = self._changes
            step = await self._advance()
            workflow.set_current_details(details(step))
            if step.state in ENDED:
                return step
            if step.state is State.PAUSED:
                # what came while the step ran may already have ended the pause
                await workflow.wait_condition(partial(self._changed_since, seen))
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(order)

    @workflow.signal
    def import_changed(self) -> None:
        self._changes += 1

    def _changed_since(self, seen: int) -> bool:
        return self._changes > seen

    async def _advance(self) -> Step:
        return await workflow.execute_activity(
            "advance_import",
            self._order.import_id,
            result_type=Step,
            start_to_close_timeout=STEP,
            heartbeat_timeout=HEARTBEAT,
            retry_policy=PATIENT,
        )
