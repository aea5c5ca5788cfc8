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
from services.customers.storage import customers, imports, lists, tags
from services.customers.storage.imports import one_at_a_time
from services.customers.storage.lists import Order, Wanted
from services.customers.storage.ownership import count_owned, refresh_lists
from services.shared.clock import Clock, business_date
from services.shared.db import Database
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.errors import FailedPrecondition, NotFound
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
            row = await customers.get(read, caller().scope, UUID(request.customer_id))
        if row is None:
            raise NotFound("customer", request.customer_id)
        return pb.GetCustomerResponse(customer=to_customer(row, self._today()))

    async def ListCustomers(self, request: pb.ListCustomersRequest, context: Any) -> pb.ListCustomersResponse:
        wanted, size = self._wanted(request), page_size(request.page_size)
        sort = pb.CustomerSort.Name(request.sort or pb.CUSTOMER_SORT_NAME).removeprefix("CUSTOMER_SORT_")
        order = Order(sort, request.descending, page_start(request))
        rows = await lists.page(self._db, wanted, order, size + 1)
        page, more = rows[:size], len(rows) > size
        return pb.ListCustomersResponse(
            customers=[to_customer(row, wanted.today) for row in page],
            next_page_token=next_page_token(request, lists.position(page[-1], sort)) if more else "",
        )

    async def CountCustomers(self, request: pb.CountCustomersRequest, context: Any) -> pb.CountCustomersResponse:
        async with self._db.read() as read:
            found = await lists.count(read, self._wanted(request))
        return pb.CountCustomersResponse(customers=min(found, lists.COUNTED), more=found > lists.COUNTED)

    def _wanted(self, request: pb.ListCustomersRequest | pb.CountCustomersRequest) -> Wanted:
        owners = [UUID(request.owner_id)] if request.owner_id else []
        if request.view == pb.CUSTOMER_VIEW_MINE:
            owners.append(caller().employee_id)
        churned = request.view == pb.CUSTOMER_VIEW_CHURNED
        return Wanted.within(
            caller().scope, owners, self._today(), churned=churned, name_prefix=request.name_prefix, tag=request.tag
        )

    async def BatchGetCustomers(
        self, request: pb.BatchGetCustomersRequest, context: Any
    ) -> pb.BatchGetCustomersResponse:
        ids = list(dict.fromkeys(map(UUID, request.customer_ids)))
        async with self._db.read() as read:
            known = {row.id: row for row in await customers.get_many(read, caller().scope, ids)}
        today = self._today()
        return pb.BatchGetCustomersResponse(customers=[to_customer(known[id_], today) for id_ in ids if id_ in known])

    async def ListContacts(self, request: pb.ListContactsRequest, context: Any) -> pb.ListContactsResponse:
        customer_id, after, size = UUID(request.customer_id), page_start(request), page_size(request.page_size)
        async with self._db.read() as read:
            if not await customers.exists(read, caller().scope, customer_id):
                raise NotFound("customer", request.customer_id)
            rows = await customers.contacts_page(read, caller().scope, customer_id, after, size + 1)
        page, more = rows[:size], len(rows) > size
        return pb.ListContactsResponse(
            contacts=map(to_contact, page),
            next_page_token=next_page_token(request, [page[-1].name, page[-1].id]) if more else "",
        )

    async def ListOwners(self, request: pb.ListOwnersRequest, context: Any) -> pb.ListOwnersResponse:
        async with self._db.read() as read:
            row = await customers.get(read, caller().scope, UUID(request.customer_id))
        if row is None:
            raise NotFound("customer", request.customer_id)
        return pb.ListOwnersResponse(owners=to_owners(row.owners))

    async def TagCustomers(self, request: pb.TagCustomersRequest, context: Any) -> pb.TagCustomersResponse:
        ids = {UUID(id_): id_ for id_ in request.customer_ids}
        async with self._db.write(request) as write:
            if not write.first:
                return pb.TagCustomersResponse(changed=await tags.remembered(write))
            if write.doing:  # one of many stands in the record's list of them
                write.doing.object_id = request.customer_ids[0] if len(ids) == 1 else ""
                write.doing.customer_id = write.doing.object_id
            await one_at_a_time(write)
            known = await tags.lock(write, caller().scope, list(ids))
            if unknown := next((asked for id_, asked in ids.items() if id_ not in known), None):
                raise NotFound("customer", unknown)
            change = tags.take_off if request.remove else tags.put
            changed = await change(write, request.tag, list(ids))
            if not request.remove and (overfull := await tags.overfull(write, changed)):
                raise FailedPrecondition(
                    "TOO_MANY_TAGS", f"customer {overfull} carries {tags.MOST_TAGS} tags already, which is the most",
                    customer_id=overfull,
                )  # fmt: skip
            await refresh_lists(write, changed)
            await tags.remember(write, len(changed))
        return pb.TagCustomersResponse(changed=len(changed))

    async def GetCustomerFacts(self, request: pb.GetCustomerFactsRequest, context: Any) -> pb.GetCustomerFactsResponse:
        async with self._db.read() as read:
            rows = await customers.get_many(read, caller().scope, list(map(UUID, request.customer_ids)))
        return pb.GetCustomerFactsResponse(customers=map(to_facts, rows))

    async def CountOwnedCustomers(
        self, request: pb.CountOwnedCustomersRequest, context: Any
    ) -> pb.CountOwnedCustomersResponse:
        async with self._db.read() as read:
            found = await count_owned(read, caller().scope, UUID(request.employee_id), self._today())
        return pb.CountOwnedCustomersResponse(customers=found)

    async def ListCustomerFacts(
        self, request: pb.ListCustomerFactsRequest, context: Any
    ) -> pb.ListCustomerFactsResponse:
        after, size = page_start(request), page_size(request.page_size)
        async with self._db.read() as read:
            rows = await customers.facts_page(read, caller().scope, after, size + 1)
        page, more = rows[:size], len(rows) > size
        return pb.ListCustomerFactsResponse(
            customers=map(to_facts, page),
            next_page_token=next_page_token(request, [page[-1].id]) if more else "",
        )
