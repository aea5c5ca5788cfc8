"""What an employee is shown of an organisation, by every rpc of every service that shows customers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from kejing.customers.v1 import attributes_service_pb2 as attributes
from kejing.customers.v1 import contacts_service_pb2 as contacts
from kejing.customers.v1 import customers_service_pb2 as customers
from kejing.customers.v1 import imports_service_pb2 as imports
from kejing.customers.v1 import overview_service_pb2 as overviews
from kejing.customers.v1 import owners_service_pb2 as owners
from kejing.customers.v1 import segments_service_pb2 as segments
from kejing.customers.v1 import tags_service_pb2 as tags
from kejing.customers.v1 import timeline_service_pb2 as timelines
from kejing.customers.v1.attributes_service_pb2_grpc import AttributesServiceStub
from kejing.customers.v1.contacts_service_pb2_grpc import ContactsServiceStub
from kejing.customers.v1.customers_service_pb2_grpc import CustomersServiceStub
from kejing.customers.v1.imports_service_pb2_grpc import ImportsServiceStub
from kejing.customers.v1.overview_service_pb2_grpc import OverviewServiceStub
from kejing.customers.v1.owners_service_pb2_grpc import OwnersServiceStub
from kejing.customers.v1.segments_service_pb2_grpc import SegmentsServiceStub
from kejing.customers.v1.tags_service_pb2_grpc import GroupsServiceStub, TagsServiceStub
from kejing.customers.v1.timeline_service_pb2_grpc import TimelineServiceStub
from kejing.health.v1 import alerts_service_pb2, health_service_pb2, metrics_service_pb2
from kejing.health.v1.alerts_service_pb2_grpc import AlertsServiceStub
from kejing.health.v1.health_service_pb2_grpc import HealthServiceStub
from kejing.health.v1.metrics_service_pb2_grpc import MetricsServiceStub
from kejing.notifications.v1 import inbox_service_pb2
from kejing.notifications.v1.inbox_service_pb2_grpc import InboxServiceStub
from kejing.revenue.v1 import orders_service_pb2, revenue_service_pb2
from kejing.revenue.v1.orders_service_pb2_grpc import OrdersServiceStub
from kejing.revenue.v1.revenue_service_pb2_grpc import RevenueServiceStub
from kejing.tasks.v1 import follow_ups_service_pb2, process_records_service_pb2, tasks_service_pb2
from kejing.tasks.v1.follow_ups_service_pb2_grpc import FollowUpsServiceStub
from kejing.tasks.v1.process_records_service_pb2_grpc import ProcessRecordsServiceStub
from kejing.tasks.v1.tasks_service_pb2_grpc import TasksServiceStub
from services.shared.rpc.wire import to_date
from tests.support.make_organisation import PRICE
from tests.support.organisation import Organisation
from tests.support.scope_plans import business_today


class Eyes:
    """What one employee is shown, rpc by rpc; customers as their places in the organisation."""

    def __init__(self, organisation: Organisation, employee: int, page_size: int = 4) -> None:
        self._page_size = page_size
        self._all = organisation
        self._employee = employee
        self._places = {customer_id: place for place, customer_id in enumerate(organisation.customers)}
        self.tried: set[str] = set()

    async def look(self) -> dict[str, set[int]]:
        """What each rpc shows."""
        self._customers = await self._stub(CustomersServiceStub)
        self._contacts = await self._stub(ContactsServiceStub)
        self._owners = await self._stub(OwnersServiceStub)
        self._tags = await self._stub(TagsServiceStub)
        self._groups = await self._stub(GroupsServiceStub)
        self._timeline = await self._stub(TimelineServiceStub)
        self._attributes = await self._stub(AttributesServiceStub)
        self._imports = await self._stub(ImportsServiceStub)
        self._overview = await self._stub(OverviewServiceStub)
        self._segments = await self._stub(SegmentsServiceStub)
        self._tasks = await self._stub(TasksServiceStub)
        self._follow_ups = await self._stub(FollowUpsServiceStub)
        self._processes = await self._stub(ProcessRecordsServiceStub)
        self._health = await self._stub(HealthServiceStub)
        self._metrics = await self._stub(MetricsServiceStub)
        self._alerts = await self._stub(AlertsServiceStub)
        self._orders = await self._stub(OrdersServiceStub)
        self._revenue = await self._stub(RevenueServiceStub)
        self._inbox = await self._stub(InboxServiceStub)
        return {**await self._lists(), **await self._gets()}

    async def counts(self) -> dict[str, float]:
        """What each count and sum says, as a number of customers."""
        return await self._counted()

    async def _stub(self, stub_class: Any) -> Any:
        return await self._all.stub(stub_class, self._employee)

    async def _lists(self) -> dict[str, set[int]]:
        seen: dict[str, set[int]] = {}
        views = customers.CUSTOMER_VIEW_ALL, customers.CUSTOMER_VIEW_CHURNED
        for sort in customers.CustomerSort.values():
            for descending in (False, True):
                found: set[int] = set()
                for view in views:
                    sorted_ = customers.ListCustomersRequest(
                        filter=customers.CustomerFilter(view=view), sort=sort, descending=descending
                    )
                    found |= await self._pages(self._customers.ListCustomers, sorted_, "customers", "id")
                seen[f"ListCustomers {sort} {descending}"] = found
        request = customers.BatchGetCustomersRequest(customer_ids=self._all.customers)
        seen["BatchGetCustomers"] = self._mine(
            (await self._call(self._customers.BatchGetCustomers, request)).customers, "id"
        )
        misfits = attributes.ListMisfitsRequest(key=self._all.attribute)
        seen["ListMisfits"] = await self._pages(self._attributes.ListMisfits, misfits, "misfits")
        seen["ListDuplicates"] = self._mine(await self._duplicates(), "customer_id")
        # Every customer of the organisation has the same beginning of a name, and of an external id.
        typed = customers.SearchCustomersRequest(text=self._all.external_ids[0].rpartition("-")[0], limit=100)
        hits = (await self._call(self._customers.SearchCustomers, typed)).hits
        seen["SearchCustomers"] = self._mine([hit.customer for hit in hits], "id")
        seen["ListTasks"] = await self._pages(self._tasks.ListTasks, tasks_service_pb2.ListTasksRequest(), "tasks")
        asked = follow_ups_service_pb2.ListFollowUpsRequest()
        seen["ListFollowUps"] = await self._pages(self._follow_ups.ListFollowUps, asked, "follow_ups")
        running = process_records_service_pb2.ListProcessesRequest()
        seen["ListProcesses"] = await self._pages(self._processes.ListProcesses, running, "processes")
        seen["ListAlerts"] = await self._pages(
            self._alerts.ListAlerts, alerts_service_pb2.ListAlertsRequest(), "alerts"
        )
        seen["ListOrders"] = await self._pages(
            self._orders.ListOrders, orders_service_pb2.ListOrdersRequest(), "orders"
        )
        month = revenue_service_pb2.GetMrrBreakdownRequest(month=f"{business_today():%Y-%m}")
        seen["GetMrrBreakdown"] = await self._pages(self._revenue.GetMrrBreakdown, month, "orders")
        seen["ListInbox"] = await self._pages(self._inbox.ListInbox, inbox_service_pb2.ListInboxRequest(), "items")
        return seen

    async def _gets(self) -> dict[str, set[int]]:
        made = self._all
        tasks, records = tasks_service_pb2, process_records_service_pb2
        health, orders, revenue = health_service_pb2, orders_service_pb2, revenue_service_pb2
        today = to_date(business_today())
        asked: list[tuple[Callable[..., Awaitable[Any]], Callable[[int], Any]]] = [
            (self._customers.GetCustomer, lambda i: customers.GetCustomerRequest(customer_id=made.customers[i])),
            (self._contacts.ListContacts, lambda i: contacts.ListContactsRequest(customer_id=made.customers[i])),
            (self._contacts.ListMerges, lambda i: contacts.ListMergesRequest(customer_id=made.customers[i])),
            (self._owners.ListOwners, lambda i: owners.ListOwnersRequest(customer_id=made.customers[i])),
            (self._owners.ListOwnerHistory,
             lambda i: owners.ListOwnerHistoryRequest(customer_id=made.customers[i])),
            (self._timeline.ListTimeline, lambda i: timelines.ListTimelineRequest(customer_id=made.customers[i])),
            (self._timeline.CompareDates,
             lambda i: timelines.CompareDatesRequest(customer_id=made.customers[i], first=today, second=today)),
            (self._tags.ListCustomerTags, lambda i: tags.ListCustomerTagsRequest(customer_id=made.customers[i])),
            (self._overview.GetOverview, lambda i: overviews.GetOverviewRequest(customer_id=made.customers[i])),
            (self._tasks.GetOpenWork, lambda i: tasks.GetOpenWorkRequest(customer_id=made.customers[i])),
            (self._segments.ExplainSegment,
             lambda i: segments.ExplainSegmentRequest(segment_id=made.segment_id, customer_id=made.customers[i])),
            (self._tasks.GetTask, lambda i: tasks.GetTaskRequest(task_id=made.tasks[i])),
            (self._tasks.ListPostponements, lambda i: tasks.ListPostponementsRequest(task_id=made.tasks[i])),
            (self._follow_ups.GetFollowUp,
             lambda i: follow_ups_service_pb2.GetFollowUpRequest(follow_up_id=made.follow_ups[i])),
            (self._processes.GetProcess, lambda i: records.GetProcessRequest(process_id=made.processes[i])),
            (self._processes.ListTransitions, lambda i: records.ListTransitionsRequest(process_id=made.processes[i])),
            (self._health.GetHealth, lambda i: health.GetHealthRequest(customer_id=made.customers[i])),
            (self._health.ListHealthHistory, lambda i: health.ListHealthHistoryRequest(customer_id=made.customers[i])),
            (self._metrics.GetUsage, lambda i: metrics_service_pb2.GetUsageRequest(customer_id=made.customers[i])),
            (self._orders.GetOrder, lambda i: orders.GetOrderRequest(order_id=made.orders[i])),
            (self._revenue.GetMrr,
             lambda i: revenue.GetMrrRequest(month=f"{business_today():%Y-%m}", customer_id=made.customers[i])),
        ]  # fmt: skip
        seen = {}
        for rpc, request in asked:  # of all customers at once
            shown = await asyncio.gather(*(self._shown(rpc, request(i)) for i in range(len(self._places))))
            seen[self._name(rpc)] = {i for i, is_shown in enumerate(shown) if is_shown}
        return seen

    async def _counted(self) -> dict[str, float]:
        total = 0
        for view in (customers.CUSTOMER_VIEW_ALL, customers.CUSTOMER_VIEW_CHURNED):
            total += (
                await self._call(
                    self._customers.CountCustomers,
                    customers.CountCustomersRequest(filter=customers.CustomerFilter(view=view)),
                )
            ).customers
        month = f"{business_today():%Y-%m}"
        mrr = (await self._call(self._revenue.GetMrr, revenue_service_pb2.GetMrrRequest(month=month))).mrr
        asked = revenue_service_pb2.ListMrrRequest(from_month=month, to_month=month)
        [listed] = (await self._call(self._revenue.ListMrr, asked)).months
        year = revenue_service_pb2.GetSignedAmountRequest(year=business_today().year)
        signed = (await self._call(self._revenue.GetSignedAmount, year)).totals
        known = (await self._call(self._imports.ListSources, imports.ListSourcesRequest())).sources
        spread = await self._call(self._health.GetHealthDistribution, health_service_pb2.GetHealthDistributionRequest())
        return {
            "CountCustomers": total,
            "GetHealthDistribution": sum(count.customers for count in spread.distribution.counts),
            "GetMrr": sum(total.mrr.units for total in mrr.totals if total.mrr.currency_code == "NZD") / PRICE,
            "GetSignedAmount": sum(each.units for each in signed if each.currency_code == "NZD") / 12 / PRICE,
            "ListSources": sum(source.customers for source in known if source.name == "test"),
            "ListMrr": sum(total.customers for total in listed.totals if total.mrr.currency_code == "NZD"),
            **await self._labelled(),
            "CountUnread": (await self._call(self._inbox.CountUnread, inbox_service_pb2.CountUnreadRequest())).unread,
        }

    async def _duplicates(self) -> list[Any]:
        """The contacts that are likely duplicates."""
        found: list[Any] = []
        request = contacts.ListDuplicatesRequest(page_size=self._page_size)
        while True:
            answer = await self._call(self._contacts.ListDuplicates, request)
            found += [contact for group in answer.groups for contact in group.contacts]
            request.page_token = answer.next_page_token
            if not request.page_token:
                return found

    async def _labelled(self) -> dict[str, float]:
        """Every customer of the organisation carries its tag, one of two others, and is in its group."""
        asked = tags.ListTagsRequest(prefix=self._all.tag)
        listed = (await self._call(self._tags.ListTags, asked)).tags
        beside = tags.ListRelatedTagsRequest(tag=self._all.tag)
        related = (await self._call(self._tags.ListRelatedTags, beside)).tags
        grouped = (await self._call(self._groups.ListGroups, tags.ListGroupsRequest(page_size=500))).groups
        defined = (await self._call(self._segments.ListSegments, segments.ListSegmentsRequest(page_size=500))).segments
        everybody = segments.PreviewConditionRequest(condition=self._all.everybody)
        return {
            "ListSegments": sum(each.customers for each in defined if each.id == self._all.segment_id),
            "PreviewCondition": (await self._call(self._segments.PreviewCondition, everybody)).customers,
            "ListTags": sum(tag.customers for tag in listed),
            "ListRelatedTags": sum(tag.customers for tag in related),
            "ListGroups": sum(group.customers for group in grouped if group.id == self._all.group_id),
        }

    async def _pages(self, rpc: Any, request: Any, items: str, key: str = "customer_id") -> set[int]:
        seen: set[int] = set()
        request.page_size = self._page_size
        while True:
            answer = await self._call(rpc, request)
            seen |= self._mine(getattr(answer, items), key)
            request.page_token = answer.next_page_token
            if not request.page_token:
                return seen

    def _mine(self, items: Any, key: str) -> set[int]:
        """The places of the customers that the items are about; -1 for one that is not of this organisation."""
        return {self._places.get(getattr(item, key), -1) for item in items}

    async def _shown(self, rpc: Any, request: Any) -> bool:
        try:
            await self._call(rpc, request)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            return False
        return True

    async def _call(self, rpc: Any, request: Any) -> Any:
        self.tried.add(self._name(rpc))
        return await rpc(request)

    @staticmethod
    def _name(rpc: Any) -> str:
        method = rpc._method
        return str((method.decode() if isinstance(method, bytes) else method).rpartition("/")[2])
