"""CustomersService: customers, their contacts and owners."""

from collections.abc import AsyncIterator
from datetime import date
from functools import partial
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from kejing.customers.v1 import customers_service_pb2 as pb
from kejing.customers.v1 import customers_service_pb2_grpc
from services.customers.api.imports import Import, opened
from services.customers.api.wire import to_contact, to_customer, to_facts, to_owners
from services.customers.domain import fields
from services.customers.storage import customers, imports
from services.customers.storage.customers import Wanted
from services.shared.clock import Clock, business_date
from services.shared.db import Database
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.errors import NotFound
from services.shared.rpc.caller import caller


class CustomersServicer(customers_service_pb2_grpc.CustomersServiceServicer):
    """`zone` is the business time zone: "today" is its date."""

    def __init__(self, db: Database, clock: Clock, zone: ZoneInfo) -> None:
        self._db = db
        self._clock = clock
        self._zone = zone

    def _today(self) -> date:
        return business_date(self._clock(), self._zone)

    async def ImportCustomers(
        self, requests: AsyncIterator[pb.ImportCustomersRequest], context: Any
    ) -> pb.ImportCustomersResponse:
        start, pieces = await opened(requests)
        apply = partial(imports.apply_customers, source=start.source, today=self._today())
        return pb.ImportCustomersResponse(result=await Import(self._db, start, fields.CUSTOMER, apply).run(pieces))

    async def ImportContacts(
        self, requests: AsyncIterator[pb.ImportContactsRequest], context: Any
    ) -> pb.ImportContactsResponse:
        start, pieces = await opened(requests)
        result = await Import(self._db, start, fields.CONTACT, imports.apply_contacts).run(pieces)
        return pb.ImportContactsResponse(result=result)

    async def ImportOwners(
        self, requests: AsyncIterator[pb.ImportOwnersRequest], context: Any
    ) -> pb.ImportOwnersResponse:
        start, pieces = await opened(requests)
        result = await Import(self._db, start, fields.OWNER, imports.apply_owners).run(pieces)
        return pb.ImportOwnersResponse(result=result)

    async def GetCustomer(self, request: pb.GetCustomerRequest, context: Any) -> pb.GetCustomerResponse:
        async with self._db.read() as read:
            row = await customers.get(read, UUID(request.customer_id))
        if row is None:
            raise NotFound("customer", request.customer_id)
        return pb.GetCustomerResponse(customer=to_customer(row, self._today()))

    async def ListCustomers(self, request: pb.ListCustomersRequest, context: Any) -> pb.ListCustomersResponse:
        owned_by = [UUID(request.owner_id)] if request.owner_id else []
        if request.view == pb.CUSTOMER_VIEW_MINE:
            owned_by.append(caller().employee_id)
        today, size = self._today(), page_size(request.page_size)
        churned = request.view == pb.CUSTOMER_VIEW_CHURNED
        wanted = Wanted(churned=churned, today=today, owned_by=owned_by, name_prefix=request.name_prefix)
        sort = request.sort or pb.CUSTOMER_SORT_NAME
        sort_name = pb.CustomerSort.Name(sort).removeprefix("CUSTOMER_SORT_")
        query = customers.page_query(wanted, sort_name, request.descending, page_start(request), size + 1)
        async with self._db.read() as read:
            rows = (await read.execute(query)).all()
        page, more = rows[:size], len(rows) > size
        return pb.ListCustomersResponse(
            customers=[to_customer(row, today) for row in page],
            next_page_token=next_page_token(request, customers.position(page[-1], sort_name)) if more else "",
        )

    async def BatchGetCustomers(
        self, request: pb.BatchGetCustomersRequest, context: Any
    ) -> pb.BatchGetCustomersResponse:
        ids = list(dict.fromkeys(map(UUID, request.customer_ids)))
        async with self._db.read() as read:
            known = {row.id: row for row in await customers.get_many(read, ids)}
        today = self._today()
        return pb.BatchGetCustomersResponse(customers=[to_customer(known[id_], today) for id_ in ids if id_ in known])

    async def ListContacts(self, request: pb.ListContactsRequest, context: Any) -> pb.ListContactsResponse:
        customer_id, after, size = UUID(request.customer_id), page_start(request), page_size(request.page_size)
        async with self._db.read() as read:
            if not await customers.exists(read, customer_id):
                raise NotFound("customer", customer_id)
            rows = await customers.contacts_page(read, customer_id, after, size + 1)
        page, more = rows[:size], len(rows) > size
        return pb.ListContactsResponse(
            contacts=map(to_contact, page),
            next_page_token=next_page_token(request, [page[-1].name, page[-1].id]) if more else "",
        )

    async def ListOwners(self, request: pb.ListOwnersRequest, context: Any) -> pb.ListOwnersResponse:
        async with self._db.read() as read:
            row = await customers.get(read, UUID(request.customer_id))
        if row is None:
            raise NotFound("customer", request.customer_id)
        return pb.ListOwnersResponse(owners=to_owners(row.owners))

    async def ListCustomerFacts(
        self, request: pb.ListCustomerFactsRequest, context: Any
    ) -> pb.ListCustomerFactsResponse:
        after, size = page_start(request), page_size(request.page_size)
        async with self._db.read() as read:
            rows = await customers.facts_page(read, after, size + 1)
        page, more = rows[:size], len(rows) > size
        return pb.ListCustomerFactsResponse(
            customers=map(to_facts, page),
            next_page_token=next_page_token(request, [page[-1].id]) if more else "",
        )
