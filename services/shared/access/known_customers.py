"""Customers that no event told of yet: asked for once at their owner, the customers service."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import grpc
from sqlalchemy import Uuid, any_, bindparam, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import SQLAlchemyError

from kejing.common.v1.events_pb2 import Event
from kejing.customers.v1 import customers_service_pb2, customers_service_pb2_grpc
from kejing.customers.v1.events_pb2 import CustomerFacts, CustomersChanged
from services.shared.access.tables import customers, directory
from services.shared.db.engine import Database
from services.shared.errors import Unavailable
from services.shared.logging import get_logger
from services.shared.messaging.consumer import Handler

ASK_SECONDS = 3.0
UNKNOWN_SECONDS = 2.0
"""So long customers isn't asked again for a customer that it didn't know."""
PAGE = 500


class KnownCustomers:
    """`handler` takes CustomersChanged over, here into owners and whatever else the service keeps of customers."""

    def __init__(self, db: Database, channel: grpc.aio.Channel, handler: Handler) -> None:
        self._db = db
        self._stub = customers_service_pb2_grpc.CustomersServiceStub(channel)
        self._handler = handler
        self._unknown: dict[UUID, float] = {}

    async def ensure(self, customer_ids: Sequence[UUID]) -> bool:
        """Asks for those of the customers that aren't known here; answers whether that told anything new.

        Raises Unavailable (CUSTOMER_UNCONFIRMED) where customers does not answer.
        """
        now = asyncio.get_running_loop().time()
        self._unknown = {id_: at for id_, at in self._unknown.items() if now - at <= UNKNOWN_SECONDS}
        wanted = [id_ for id_ in dict.fromkeys(customer_ids) if id_ not in self._unknown]
        if not wanted:
            return False
        found = select(customers.c.id).where(customers.c.id == any_(bindparam(None, wanted, ARRAY(Uuid))))
        async with self._db.read() as read:
            known = set((await read.execute(found)).scalars())
        missing = [id_ for id_ in wanted if id_ not in known]
        news = False
        for part in (missing[start : start + PAGE] for start in range(0, len(missing), PAGE)):
            told = await self._asked_for(part)
            await self._take(told)
            self._unknown.update(dict.fromkeys(set(part) - {UUID(customer.id) for customer in told}, now))
            news = news or bool(told)
        return news

    async def _asked_for(self, customer_ids: Sequence[UUID]) -> Sequence[CustomerFacts]:
        request = customers_service_pb2.GetCustomerFactsRequest(customer_ids=map(str, customer_ids))
        try:
            return (await self._stub.GetCustomerFacts(request, timeout=ASK_SECONDS)).customers
        except grpc.aio.AioRpcError as error:
            raise Unavailable(
                "CUSTOMER_UNCONFIRMED",
                f"customer {customer_ids[0]} is not known here yet, and customers answers {error.code().name}; "
                "try again",
                customer_id=customer_ids[0],
            ) from error

    async def sync_first(self) -> None:
        """Takes all customers over, once in the life of a database: events of long ago are gone from the stream.

        Outages are waited out, after which it goes on where it was.
        """
        token = ""
        while not await self._synced():
            try:
                page = await self._stub.ListCustomerFacts(
                    customers_service_pb2.ListCustomerFactsRequest(page_size=PAGE, page_token=token)
                )
                await self._take(page.customers)
                token = page.next_page_token
                if not token:
                    async with self._db.transaction(actor="machine:directory") as write:
                        await write.execute(update(directory).values(customers_synced_at=write.now))
            except (grpc.aio.AioRpcError, SQLAlchemyError, OSError) as error:
                get_logger().info("owners of customers wait", error=type(error).__name__)
                await asyncio.sleep(1)

    async def _synced(self) -> bool:
        try:
            async with self._db.read() as read:
                return (await read.execute(select(directory.c.customers_synced_at))).scalar_one() is not None
        except (SQLAlchemyError, OSError):
            return False

    async def _take(self, told: Sequence[CustomerFacts]) -> None:
        if told:
            async with self._db.transaction(actor="machine:directory", unscoped="what customers tells") as write:
                await self._handler(write, Event(), CustomersChanged(customers=told))


Ensure = Callable[[Sequence[UUID]], Awaitable[bool]]
"""KnownCustomers.ensure, as servicers are given it."""
