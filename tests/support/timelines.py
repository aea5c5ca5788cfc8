"""Timelines for tests: read by the rpc, as people read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kejing.customers.v1 import timeline_service_pb2 as pb
from kejing.customers.v1.timeline_service_pb2_grpc import TimelineServiceStub
from tests.support.customers import bring, by_external_id, fresh
from tests.support.eventually import eventually
from tests.support.services import RunningServices


@dataclass(frozen=True)
class Timeline:
    """A customer's timeline, as an employee sees it."""

    services: RunningServices
    customer_id: str
    caller: str = "employee:admin"

    async def entries(self, **asked: Any) -> Sequence[pb.TimelineEntry]:
        """Of the first page."""
        stub = await self.services.stub(TimelineServiceStub, self.caller)
        answer = await stub.ListTimeline(pb.ListTimelineRequest(customer_id=self.customer_id, **asked))
        return answer.entries  # type: ignore[no-any-return]

    async def steps(self, **asked: Any) -> list[str]:
        """Kind and what was done of the first page's entries, oldest first."""
        return [
            f"{pb.TimelineKind.Name(entry.kind).removeprefix('TIMELINE_KIND_')} {entry.what}"
            for entry in reversed(await self.entries(**asked))
        ]

    async def until(self, *steps: str, **asked: Any) -> Sequence[pb.TimelineEntry]:
        """The first page, newest first, as soon as it holds exactly these steps, oldest first."""

        async def told() -> bool:
            found = await self.steps(**asked)
            assert found == list(steps)
            return True

        await eventually(told)
        return await self.entries(**asked)


async def new_timeline(services: RunningServices, **fields: str) -> Timeline:
    """That of a new customer."""
    key = fresh("T")
    await bring(services, "ImportCustomers", [{"external_id": key, "name": key, **fields}])
    return Timeline(services, (await by_external_id(services, key)).id)
