"""AlertsService: subscriptions, and alerts from raising to acknowledging."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row

from kejing.health.v1 import alerts_pb2, alerts_service_pb2_grpc
from kejing.health.v1 import alerts_service_pb2 as pb
from services.health.api.wire import from_status, to_alert, to_status
from services.health.domain.alerts import Transition
from services.health.domain.rules import Status, moved
from services.health.domain.weeks import Week
from services.health.storage import alerts, customers, evaluations, rule_sets
from services.health.storage.evaluations import EVERY_CUSTOMER, FIRST_ID
from services.health.storage.results import values_of
from services.shared.db import Database
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.errors import FailedPrecondition, NotFound
from services.shared.rpc.caller import caller
from services.shared.rpc.wire import from_timestamp, to_timestamp

DEFAULT_TRANSITIONS = 200


class AlertsServicer(alerts_service_pb2_grpc.AlertsServiceServicer):
    def __init__(self, db: Database) -> None:
        self._db = db

    async def CreateAlertSubscription(
        self, request: pb.CreateAlertSubscriptionRequest, context: Any
    ) -> pb.CreateAlertSubscriptionResponse:
        asked = request.transition
        before = from_status(getattr(asked, "from"))
        transition = Transition(asked.any_fall, before, from_status(asked.to))
        transition.check("transition")
        async with self._db.write(request) as write:
            if write.first:
                await alerts.subscribe(write, write.result_id, transition)
            row = await alerts.get_subscription(write.connection, write.result_id)
        if row is None:  # a repeat that comes after the subscription ended
            raise NotFound("alert subscription", write.result_id)
        return pb.CreateAlertSubscriptionResponse(subscription=to_subscription(row))

    async def ListAlertSubscriptions(
        self, request: pb.ListAlertSubscriptionsRequest, context: Any
    ) -> pb.ListAlertSubscriptionsResponse:
        size = page_size(request.page_size)
        async with self._db.read() as read:
            rows = await alerts.subscriptions_page(read, page_start(request), size + 1)
        answer = pb.ListAlertSubscriptionsResponse(subscriptions=[to_subscription(row) for row in rows[:size]])
        if len(rows) > size:
            answer.next_page_token = next_page_token(request, [rows[size - 1].id])
        return answer

    async def DeleteAlertSubscription(
        self, request: pb.DeleteAlertSubscriptionRequest, context: Any
    ) -> pb.DeleteAlertSubscriptionResponse:
        subscription_id = UUID(request.subscription_id)
        async with self._db.write(request, result_id=subscription_id) as write:
            if write.first and not await alerts.unsubscribe(write, subscription_id):
                raise NotFound("alert subscription", subscription_id)
        return pb.DeleteAlertSubscriptionResponse()

    async def ListAlerts(self, request: pb.ListAlertsRequest, context: Any) -> pb.ListAlertsResponse:
        size = page_size(request.page_size)
        customer_id = UUID(request.customer_id) if request.customer_id else None
        async with self._db.read() as read:
            rows = await alerts.page(
                read, caller().scope, customer_id, request.open_only, page_start(request), size + 1
            )
        answer = pb.ListAlertsResponse(alerts=[to_alert(row) for row in rows[:size]])
        if len(rows) > size:
            last = rows[size - 1]
            answer.next_page_token = next_page_token(request, [last.raised_at, last.id])
        return answer

    async def AcknowledgeAlert(self, request: pb.AcknowledgeAlertRequest, context: Any) -> pb.AcknowledgeAlertResponse:
        alert_id = UUID(request.alert_id)
        async with self._db.write(request, result_id=alert_id) as write:
            row = await alerts.get(write.connection, caller().scope, alert_id)
            if row is None:
                raise NotFound("alert", alert_id)
            if write.doing:
                write.doing.customer_id = str(row.customer_id)
            if write.first:
                row = await alerts.acknowledge(write, alert_id, caller().person_id)
        return pb.AcknowledgeAlertResponse(alert=to_alert(row))

    async def RaiseAlerts(self, request: pb.RaiseAlertsRequest, context: Any) -> pb.RaiseAlertsResponse:
        size = request.page_size or DEFAULT_TRANSITIONS
        after = (page_start(request) or [FIRST_ID])[0]
        async with self._db.transaction(unscoped=EVERY_CUSTOMER) as write:
            run, row = await evaluations.range_of(write.connection, UUID(request.run_id), request.range)
            rules = rule_sets.rules_of(await rule_sets.get(write.connection, run.rule_set_id))
            subscribed = [
                alerts.transition_of(one) for one in await alerts.subscriptions_page(write.connection, None, None)
            ]
            page = await alerts.transitions_page(write, run, row, after, size)
            wanted = [
                (transition, moved(rules, values_of(transition.inputs_before or {}), values_of(transition.inputs)))
                for transition in page
                if any(one.matches(Status(transition.from_status), Status(transition.to_status)) for one in subscribed)
            ]
            await alerts.raise_for(write, wanted)
            # what an earlier try of this page raised is among them, what another run raised is not
            raised = await alerts.raised(write.connection, run.id, [transition.customer_id for transition in page])
            versions = await customers.versions(write.connection, [alert.customer_id for alert in raised])
        answer = pb.RaiseAlertsResponse(
            alerts=[to_alert(alert) for alert in raised],
            customer_versions={str(customer_id): version for customer_id, version in versions.items()},
        )
        if len(page) == size:
            answer.next_page_token = next_page_token(request, [page[-1].customer_id])
        return answer

    async def MarkRangeAlerted(self, request: pb.MarkRangeAlertedRequest, context: Any) -> pb.MarkRangeAlertedResponse:
        async with self._db.transaction(unscoped=EVERY_CUSTOMER) as write:
            run, row = await evaluations.range_of(write.connection, UUID(request.run_id), request.range)
            if row.done_at is None:
                raise FailedPrecondition("RANGE_OPEN", f"range {row.number} of the run is not evaluated yet")
            await evaluations.mark_alerted(write, run.id, row.number)
        return pb.MarkRangeAlertedResponse()

    async def ListUnalertedRanges(
        self, request: pb.ListUnalertedRangesRequest, context: Any
    ) -> pb.ListUnalertedRangesResponse:
        size = page_size(request.page_size)
        done_before = from_timestamp("done_before", request.done_before)
        async with self._db.read(unscoped=EVERY_CUSTOMER) as read:
            rows = await evaluations.unalerted_page(read, done_before, page_start(request), size + 1)
        ranges = [
            pb.UnalertedRange(run_id=str(row.run_id), range=row.number, week=str(Week(row.week))) for row in rows[:size]
        ]
        answer = pb.ListUnalertedRangesResponse(ranges=ranges)
        if len(rows) > size:
            last = rows[size - 1]
            answer.next_page_token = next_page_token(request, [last.done_at, last.run_id, last.number])
        return answer


def to_subscription(row: Row[Any]) -> alerts_pb2.AlertSubscription:
    transition = alerts_pb2.Transition(any_fall=row.any_fall, to=to_status(row.to_status))
    setattr(transition, "from", to_status(row.from_status))  # a keyword of Python
    return alerts_pb2.AlertSubscription(
        id=str(row.id), transition=transition, created_by=row.created_by, created_at=to_timestamp(row.created_at)
    )
