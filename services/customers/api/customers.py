"""CustomersService: customers, their contacts and owners."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from kejing.customers.v1 import customers_service_pb2 as pb
from kejing.customers.v1 import customers_service_pb2_grpc
from services.customers.api import search
from services.customers.api.export import export
from services.customers.api.filters import wanted
from services.customers.api.linking import link, unlink
from services.customers.api.updates import Updates
from services.customers.api.wire import put_facts, to_customer
from services.customers.storage import customers, lists, owners
from services.customers.storage.imports import one_at_a_time
from services.customers.storage.lists import Order
from services.shared.clock import Clock, business_date
from services.shared.db import Database
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.errors import NotFound
from services.shared.keyring import Keyring
from services.shared.rpc.caller import caller


class CustomersServicer(customers_service_pb2_grpc.CustomersServiceServicer):
    """`zone` is the business time zone: "today" is its date. `keyring`: that of national ids."""

    def __init__(self, db: Database, clock: Clock, zone: ZoneInfo, keyring: Keyring) -> None:
        self._db = db
        self._keyring = keyring
        self._clock = clock
        self._zone = zone

    def _today(self) -> date:
        return business_date(self._clock(), self._zone)

    async def GetCustomer(self, request: pb.GetCustomerRequest, context: Any) -> pb.GetCustomerResponse:
        async with self._db.read() as read:
            row = await customers.get(read, caller().scope, UUID(request.customer_id))
        if row is None:
            raise NotFound("customer", request.customer_id)
        return pb.GetCustomerResponse(customer=to_customer(row, self._today()))

    async def UpdateCustomer(self, request: pb.UpdateCustomerRequest, context: Any) -> pb.UpdateCustomerResponse:
        row = await Updates(self._db, self._keyring, self._zone).update(request)
        return pb.UpdateCustomerResponse(customer=to_customer(row, self._today()))

    async def ListCustomers(self, request: pb.ListCustomersRequest, context: Any) -> pb.ListCustomersResponse:
        today, size = self._today(), page_size(request.page_size)
        sort = pb.CustomerSort.Name(request.sort or pb.CUSTOMER_SORT_NAME).removeprefix("CUSTOMER_SORT_")
        order = Order(sort, request.descending, page_start(request))
        rows = await lists.page(self._db, wanted(request.filter, today), order, size + 1)
        page, more = rows[:size], len(rows) > size
        return pb.ListCustomersResponse(
            customers=[to_customer(row, today) for row in page],
            next_page_token=next_page_token(request, lists.position(page[-1], sort)) if more else "",
        )

    async def ExportCustomers(
        self, request: pb.ExportCustomersRequest, context: Any
    ) -> AsyncIterator[pb.ExportCustomersResponse]:
        async for piece in export(self._db, request, self._today()):
            yield pb.ExportCustomersResponse(data=piece)

    async def SearchCustomers(self, request: pb.SearchCustomersRequest, context: Any) -> pb.SearchCustomersResponse:
        return await search.found(self._db, caller().scope, request, self._today())

    async def LinkCustomer(self, request: pb.LinkCustomerRequest, context: Any) -> pb.LinkCustomerResponse:
        customer_id = UUID(request.customer_id)
        async with self._db.write(request, result_id=customer_id) as write:
            await one_at_a_time(write)
            row = await customers.get(write.connection, caller().scope, customer_id)
            if row is None:
                raise NotFound("customer", request.customer_id)
            if write.first:
                await (unlink if request.remove else link)(write, row, request.link)
            row = await customers.get(write.connection, caller().scope, customer_id)
        return pb.LinkCustomerResponse(customer=to_customer(row, self._today()))

    async def CountCustomers(self, request: pb.CountCustomersRequest, context: Any) -> pb.CountCustomersResponse:
        found = await lists.count(self._db, wanted(request.filter, self._today()))
        return pb.CountCustomersResponse(customers=min(found, lists.COUNTED), more=found > lists.COUNTED)

    async def BatchGetCustomers(
        self, request: pb.BatchGetCustomersRequest, context: Any
    ) -> pb.BatchGetCustomersResponse:
        ids = list(dict.fromkeys(map(UUID, request.customer_ids)))
        async with self._db.read() as read:
            known = {row.id: row for row in await customers.get_many(read, caller().scope, ids)}
        today = self._today()
        return pb.BatchGetCustomersResponse(customers=[to_customer(known[id_], today) for id_ in ids if id_ in known])

    async def GetCustomerFacts(self, request: pb.GetCustomerFactsRequest, context: Any) -> pb.GetCustomerFactsResponse:
        async with self._db.read() as read:
            rows = await customers.get_many(read, caller().scope, list(map(UUID, request.customer_ids)))
        answer = pb.GetCustomerFactsResponse()
        put_facts(answer.customers, rows)
        return answer

    async def CountOwnedCustomers(
        self, request: pb.CountOwnedCustomersRequest, context: Any
    ) -> pb.CountOwnedCustomersResponse:
        async with self._db.read() as read:
            found = await owners.count_owned(read, caller().scope, UUID(request.employee_id), self._today())
        return pb.CountOwnedCustomersResponse(customers=found)

    async def ListCustomerFacts(
        self, request: pb.ListCustomerFactsRequest, context: Any
    ) -> pb.ListCustomerFactsResponse:
        after, size = page_start(request), page_size(request.page_size)
        async with self._db.read() as read:
            rows = await customers.facts_page(read, caller().scope, after, size + 1)
        page, more = rows[:size], len(rows) > size
        answer = pb.ListCustomerFactsResponse(next_page_token=next_page_token(request, [page[-1].id]) if more else "")
        put_facts(answer.customers, page)
        return answer
