"""Dead letters: an event that can't be taken is kept, seen, and replayed once its cause is mended."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import insert, select

from kejing.common.v1.events_pb2 import Event
from kejing.customers.v1.events_pb2 import CustomerFacts, CustomersChanged
from kejing.operations.v1 import dead_letters_service_pb2 as pb
from kejing.operations.v1 import dead_letters_service_pb2_grpc
from services.shared.clock import utc_now
from services.shared.db.tables import dead_letters
from services.shared.ids import new_id
from services.shared.messaging.envelope import subject_of, to_envelope
from services.tasks.storage.tables import customers
from tests.support.refusals import refused
from tests.support.services import RunningServices
from tests.support.tasks import rid


@pytest.fixture
async def letters(services: RunningServices) -> AsyncIterator[Any]:
    await services.start("tasks")
    signed = await services.stub(dead_letters_service_pb2_grpc.DeadLettersServiceStub, "employee:admin", part="tasks")
    yield signed
    async with services.db("tasks").transaction(actor="machine:test") as write:
        await write.execute(dead_letters.delete())


async def bury(services: RunningServices, payload: CustomersChanged, consumer: str = "tasks") -> Event:
    """A dead letter of the tasks service."""
    event = to_envelope(payload, occurred_at=utc_now(), actor="machine:test", request_id="")
    row = {"consumer": consumer, "event_id": event.id, "subject": subject_of(payload), "error": "ValueError: once",
           "event": event.SerializeToString(), "failed_at": utc_now()}  # fmt: skip
    async with services.db("tasks").transaction(actor="machine:test") as write:
        await write.execute(insert(dead_letters).values(row))
    return event


def told_of(customer_id: str) -> CustomersChanged:
    return CustomersChanged(customers=[CustomerFacts(id=customer_id, number="CUS1", name="ACME", version=1)])


async def listed(letters: Any, size: int = 50) -> list[pb.DeadLetter]:
    found, request = [], pb.ListDeadLettersRequest(page_size=size)
    while True:
        page = await letters.ListDeadLetters(request)
        found += page.dead_letters
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def test_letters_are_listed_oldest_first_in_pages(services: RunningServices, letters: Any) -> None:
    buried = [await bury(services, told_of(str(new_id()))) for _ in range(3)]
    assert [letter.event_id for letter in await listed(letters, size=2)] == [event.id for event in buried]
    [first, *_] = await listed(letters)
    assert (first.consumer, first.subject, first.error) == (
        "tasks", "kejing.customers.customers.changed", "ValueError: once",
    )  # fmt: skip


async def test_a_replayed_letter_takes_effect_and_is_gone(services: RunningServices, letters: Any) -> None:
    customer_id = new_id()
    event = await bury(services, told_of(str(customer_id)))
    request = pb.ReplayDeadLetterRequest(request_id=rid(), consumer="tasks", event_id=event.id)
    await letters.ReplayDeadLetter(request)
    async with services.db("tasks").read(unscoped="looked at by a test") as read:
        label = (await read.execute(select(customers.c.label).where(customers.c.id == customer_id))).scalar_one()
    assert label == "ACME"
    assert await listed(letters) == []
    assert (await refused(letters.ReplayDeadLetter(request))).reason == "DEAD_LETTER_NOT_FOUND"


async def test_a_letter_that_fails_again_stays_and_says_why(services: RunningServices, letters: Any) -> None:
    event = await bury(services, told_of("no id at all"))
    request = pb.ReplayDeadLetterRequest(request_id=rid(), consumer="tasks", event_id=event.id)
    refusal = await refused(letters.ReplayDeadLetter(request))
    assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "STILL_FAILING")
    [letter] = await listed(letters)
    assert "badly formed" in letter.error
    request.consumer = "nobody"
    assert (await refused(letters.ReplayDeadLetter(request))).reason == "DEAD_LETTER_NOT_FOUND"
