"""Raising alerts at the health service and delivering them by the notifications service; both may be repeated."""

from temporalio import activity

from kejing.health.v1 import alerts_pb2, alerts_service_pb2, health_pb2
from kejing.notifications.v1 import inbox_service_pb2
from workflows.alert_fanout.types import AlertPage, RaisedAlert
from workflows.clients import Clients, ask

PAGE = 200


class AlertFanoutActivities:
    def __init__(self, clients: Clients) -> None:
        self._alerts = clients.alerts
        self._inbox = clients.inbox

    @activity.defn
    async def raise_alerts(self, run_id: str, key_range: int, page_token: str) -> AlertPage:
        """Raises the alerts of one page of transitions."""
        request = alerts_service_pb2.RaiseAlertsRequest(
            run_id=run_id, range=key_range, page_size=PAGE, page_token=page_token
        )
        answer = await ask(self._alerts.RaiseAlerts(request))
        versions = dict(answer.customer_versions)
        alerts = [
            RaisedAlert(alert.id, alert.customer_id, facts_of(alert), versions.get(alert.customer_id, 0))
            for alert in answer.alerts
        ]
        return AlertPage(alerts, answer.next_page_token)

    @activity.defn
    async def deliver_alerts(self, alerts: list[RaisedAlert]) -> int:
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
        answer = await ask(self._inbox.DeliverAlerts(inbox_service_pb2.DeliverAlertsRequest(alerts=notices)))
        return answer.delivered

    @activity.defn
    async def mark_range_alerted(self, run_id: str, key_range: int) -> None:
        """Notes that every alert of the range is delivered."""
        request = alerts_service_pb2.MarkRangeAlertedRequest(run_id=run_id, range=key_range)
        await ask(self._alerts.MarkRangeAlerted(request))


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
