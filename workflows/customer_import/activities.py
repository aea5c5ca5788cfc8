"""The step of an import: a call to the customers service that may be repeated."""

from temporalio import activity

from kejing.customers.v1 import imports_service_pb2 as pb
from workflows.clients import STEP_SECONDS, Clients, ask, beating
from workflows.customer_import.types import State, Step


class CustomerImportActivities:
    def __init__(self, clients: Clients) -> None:
        self._imports = clients.imports

    @activity.defn
    async def advance_import(self, import_id: str) -> Step:
        """Does the next part of the import, some seconds long, and tells how it stands."""
        request = pb.AdvanceImportRequest(import_id=import_id)
        answer = await ask(beating(self._imports.AdvanceImport(request, timeout=STEP_SECONDS)))
        return to_step(getattr(answer, "import"))


def to_step(told: pb.Import) -> Step:
    """The import as the workflow and its operators see it: without the file's name and the people."""
    return Step(
        state=State(pb.ImportState.Name(told.state).removeprefix("IMPORT_STATE_")),
        kind=pb.ImportKind.Name(told.kind).removeprefix("IMPORT_KIND_"),
        source=told.source,
        size=told.bytes,
        bytes_read=told.bytes_read,
        rows_read=told.rows_read,
        created=told.created,
        updated=told.updated,
        unchanged=told.unchanged,
        superseded=told.superseded,
        rejected=told.rejected,
        worked_seconds=told.worked_seconds,
    )
