"""Dead letters over gRPC: seen, and replayed once their cause is mended. Every service that consumes offers this."""

# ruff: noqa: N802  - rpc methods carry the names of the contract

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select, tuple_, update

from kejing.operations.v1 import dead_letters_service_pb2 as messages
from kejing.operations.v1 import dead_letters_service_pb2_grpc
from services.shared.db.engine import Database
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.db.tables import dead_letters
from services.shared.errors import FailedPrecondition, NotFound
from services.shared.messaging.consumer import DATABASE_AWAY, Consumer


class DeadLettersServicer(dead_letters_service_pb2_grpc.DeadLettersServiceServicer):
    """DeadLettersService of one service; `consumers` are all that write dead letters into its `db`."""

    def __init__(self, db: Database, consumers: Sequence[Consumer]) -> None:
        self._db = db
        self._consumers = {consumer.name: consumer for consumer in consumers}

    async def ListDeadLetters(
        self, request: messages.ListDeadLettersRequest, context: Any
    ) -> messages.ListDeadLettersResponse:
        size = page_size(request.page_size)
        order = (dead_letters.c.failed_at, dead_letters.c.consumer, dead_letters.c.event_id)
        query = select(*order, dead_letters.c.subject, dead_letters.c.error).order_by(*order).limit(size + 1)
        if after := page_start(request):
            query = query.where(tuple_(*order) > tuple_(*after))
        async with self._db.read() as read:
            rows = (await read.execute(query)).all()
        answer = messages.ListDeadLettersResponse()
        for row in rows[:size]:
            letter = answer.dead_letters.add(
                consumer=row.consumer, event_id=str(row.event_id), subject=row.subject, error=row.error
            )
            letter.failed_at.FromDatetime(row.failed_at)
        if len(rows) > size:
            last = rows[size - 1]
            answer.next_page_token = next_page_token(request, [last.failed_at, last.consumer, last.event_id])
        return answer

    async def ReplayDeadLetter(
        self, request: messages.ReplayDeadLetterRequest, context: Any
    ) -> messages.ReplayDeadLetterResponse:
        event_id = UUID(request.event_id)
        consumer = self._consumers.get(request.consumer)
        if consumer is None:
            raise NotFound("dead letter", event_id)
        try:
            await consumer.replay(event_id)
        except DATABASE_AWAY:  # no fault of the event: UNAVAILABLE
            raise
        except NotFound as error:
            if error.reason == "DEAD_LETTER_NOT_FOUND":
                raise
            await self._still_failing(request.consumer, event_id, error)
        except Exception as error:  # whatever a handler raises
            await self._still_failing(request.consumer, event_id, error)
        return messages.ReplayDeadLetterResponse()

    async def _still_failing(self, consumer: str, event_id: UUID, error: Exception) -> None:
        """Keeps what went wrong this time, and says it. Raises FailedPrecondition (STILL_FAILING)."""
        said = f"{type(error).__name__}: {error}"[:1000]
        mine = (dead_letters.c.consumer == consumer) & (dead_letters.c.event_id == event_id)
        async with self._db.transaction() as write:
            await write.execute(update(dead_letters).where(mine).values(error=said, failed_at=write.now))
        raise FailedPrecondition("STILL_FAILING", f"event {event_id} fails again: {said}") from error
