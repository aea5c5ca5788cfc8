"""Definitions of business processes, in versions."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from kejing.tasks.v1 import process_definitions_service_pb2 as messages
from kejing.tasks.v1 import process_definitions_service_pb2_grpc, process_pb2
from services.shared.db import Database, Write
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.errors import FailedPrecondition, NotFound
from services.tasks.api.parties import Parties
from services.tasks.api.process_messages import from_stages, to_definition
from services.tasks.domain.definition import check_keys, check_sound
from services.tasks.storage import definitions
from services.tasks.storage.processes import stages_of

STATE = "DEFINITION_STATE_"


class ProcessDefinitionsServicer(process_definitions_service_pb2_grpc.ProcessDefinitionsServiceServicer):
    """ProcessDefinitionsService, as its contract says."""

    def __init__(self, db: Database, parties: Parties) -> None:
        self._db = db
        self._parties = parties

    async def CreateProcessDefinition(
        self, request: messages.CreateProcessDefinitionRequest, context: Any
    ) -> messages.CreateProcessDefinitionResponse:
        stages = from_stages(request.stages)
        check_keys(stages)
        known = await self._parties.find(theme_key=request.theme_key)
        async with self._db.write(request) as write:
            if write.first:
                known.check()
                versions = await definitions.lock_key(write, request.key)
                if any(version.state == "DRAFT" for version in versions):
                    raise FailedPrecondition("DRAFT_EXISTS", f"{request.key} has a draft already; change that one")
                new = {
                    "id": write.result_id,
                    "key": request.key,
                    "version": versions[0].version + 1 if versions else 1,
                    "name": request.name,
                    "theme_key": request.theme_key,
                    "state": "DRAFT",
                    "allows_skipping": request.allows_skipping,
                    "created_at": write.now,
                }
                await definitions.add(write, new, stages)
            row = _stored(await definitions.get(write.connection, write.result_id), write.result_id)
        return messages.CreateProcessDefinitionResponse(definition=to_definition(row))

    async def UpdateProcessDefinition(
        self, request: messages.UpdateProcessDefinitionRequest, context: Any
    ) -> messages.UpdateProcessDefinitionResponse:
        stages = from_stages(request.stages)
        check_keys(stages)
        known = await self._parties.find(theme_key=request.theme_key)
        async with self._db.write(request, result_id=UUID(request.definition_id)) as write:
            if write.first:
                known.check()
                await self._draft_and_siblings(write)
                values = {
                    "name": request.name,
                    "theme_key": request.theme_key,
                    "allows_skipping": request.allows_skipping,
                }
                await definitions.change(write, write.result_id, values, stages)
            row = _stored(await definitions.get(write.connection, write.result_id), write.result_id)
        return messages.UpdateProcessDefinitionResponse(definition=to_definition(row))

    async def PublishProcessDefinition(
        self, request: messages.PublishProcessDefinitionRequest, context: Any
    ) -> messages.PublishProcessDefinitionResponse:
        async with self._db.write(request, result_id=UUID(request.definition_id)) as write:
            if write.first:
                draft, siblings = await self._draft_and_siblings(write)
                check_sound(stages_of(draft))
                for sibling in siblings:
                    if sibling.state == "PUBLISHED":
                        await definitions.change(write, sibling.id, {"state": "RETIRED"})
                await definitions.change(write, draft.id, {"state": "PUBLISHED", "published_at": write.now})
            row = _stored(await definitions.get(write.connection, write.result_id), write.result_id)
        return messages.PublishProcessDefinitionResponse(definition=to_definition(row))

    async def GetProcessDefinition(
        self, request: messages.GetProcessDefinitionRequest, context: Any
    ) -> messages.GetProcessDefinitionResponse:
        async with self._db.read() as read:
            row = _stored(await definitions.get(read, UUID(request.definition_id)), request.definition_id)
        return messages.GetProcessDefinitionResponse(definition=to_definition(row))

    async def ListProcessDefinitions(
        self, request: messages.ListProcessDefinitionsRequest, context: Any
    ) -> messages.ListProcessDefinitionsResponse:
        size = page_size(request.page_size)
        states = [process_pb2.DefinitionState.Name(state).removeprefix(STATE) for state in request.states if state]
        async with self._db.read() as read:
            rows = await definitions.page(read, request.key, states, page_start(request), size + 1)
        answer = messages.ListProcessDefinitionsResponse(definitions=map(to_definition, rows[:size]))
        if len(rows) > size:
            answer.next_page_token = next_page_token(request, [rows[size - 1].key, rows[size - 1].version])
        return answer

    async def _draft_and_siblings(self, write: Write) -> tuple[Row[Any], Sequence[Row[Any]]]:
        """The draft that the request names, and all versions of its key, locked. Raises NotFound or NOT_A_DRAFT."""
        named = _stored(await definitions.get(write.connection, write.result_id), write.result_id)
        versions = await definitions.lock_key(write, named.key)
        draft = next(version for version in versions if version.id == named.id)
        if draft.state != "DRAFT":
            raise FailedPrecondition(
                "NOT_A_DRAFT", f"this version is {draft.state}; only drafts change", state=draft.state
            )
        return draft, versions


def _stored(row: Row[Any] | None, definition_id: object) -> Row[Any]:
    if row is None:
        raise NotFound("process definition", definition_id)
    return row
