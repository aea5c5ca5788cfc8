"""Raising alerts at the health service and delivering them by the notifications service; both may be repeated.

`actor` is the employee who asked for the run that the alerts come from; empty where nobody did.
"""

from temporalio import activity

from kejing.health.v1 import alerts_pb2, alerts_service_pb2, health_pb2
from kejing.notifications.v1 import inbox_service_pb2
from services.shared.rpc.client import on_behalf_of
from workflows.alert_fanout.types import AlertPage, RaisedAlert
from workflows.clients import Clients, ask

PAGE = 200


class AlertFanoutActivities:
    def __init__(self, clients: Clients) -> None:
        self._alerts = clients.alerts
        self._inbox = clients.inbox

    @activity.defn
    async def raise_alerts(self, run_id: str, key_range: int, page_token: str, actor: str = "") -> AlertPage:
        """Raises the alerts of one page of transitions."""
        request = alerts_service_pb2.RaiseAlertsRequest(
            run_id=run_id, range=key_range, page_size=PAGE, page_token=page_token
        )
        answer = await ask(self._alerts.RaiseAlerts(request, metadata=on_behalf_of(actor)))
        versions = dict(answer.customer_versions)
        alerts = [
            RaisedAlert(alert.id, alert.customer_id, facts_of(alert), versions.get(alert.customer_id, 0))
            for alert in answer.alerts
        ]
        return AlertPage(alerts, answer.next_page_token)

    @activity.defn
    async def deliver_alerts(self, alerts: list[RaisedAlert], actor: str = "") -> int:
        """Puts alerts into the inboxes of all owners; answers how many items are new."""
        notices = [
            inbox_service_pb2.AlertNotice(
                alert_id=alert.alert_id,
                customer_id=alert.customer_id,
                facts=alert.facts,
                customer_version=alert.customer_version,
            )
            for alert in alerts
        ]
        request = inbox_service_pb2.DeliverAlertsRequest(alerts=notices)
        answer = await ask(self._inbox.DeliverAlerts(request, metadata=on_behalf_of(actor)))
        return answer.delivered

    @activity.defn
    async def mark_range_alerted(self, run_id: str, key_range: int, actor: str = "") -> None:
        """Notes that every alert of the range is delivered."""
        request = alerts_service_pb2.MarkRangeAlertedRequest(run_id=run_id, range=key_range)
        await ask(self._alerts.MarkRangeAlerted(request, metadata=on_behalf_of(actor)))


def facts_of(alert: alerts_pb2.Alert) -> dict[str, str]:
    """What an inbox shows of an alert: from, to, week; metric, before and after where one input moved."""
    facts = {"from": _name(getattr(alert, "from")), "to": _name(alert.to), "week": alert.week}
    if alert.HasField("moved"):
        facts["metric"] = alert.moved.metric
        if alert.moved.HasField("before"):
            facts["before"] = alert.moved.before.value
        if alert.moved.HasField("after"):
            facts["after"] = alert.moved.after.value
    return facts


def _name(status: health_pb2.HealthStatus.ValueType) -> str:
    return health_pb2.HealthStatus.Name(status).removeprefix("HEALTH_STATUS_")
