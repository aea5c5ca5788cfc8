"""`kejing alerts …`: changes of health that somebody wants to know at once, and who is told of which."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from services.cli.options import ME, As, Json

app = typer.Typer()
alerts = typer.Typer(no_args_is_help=True)
app.add_typer(alerts, name="alerts", help="Alerts about customers' health, and subscriptions to them.")

Size = Annotated[int, typer.Option("-n", min=1, max=500, help="At most this many.")]
Page = Annotated[str, typer.Option("--page", metavar="TOKEN", help="The next_page_token of the page before.")]

ALERT: dict[str, Any] = {
    "raised": "raised_at", "week": "week", "customer": "customer_id", "from": "from", "to": "to",
    "moved": lambda alert: _moved(alert), "noted": "acknowledged_at", "by": "acknowledged_by", "id": "id",
}  # fmt: skip
SUBSCRIPTION: dict[str, Any] = {
    "any fall": lambda row: "any fall" if row.transition.any_fall else "",
    "from": "transition.from", "to": "transition.to", "made by": "created_by", "made": "created_at", "id": "id",
}  # fmt: skip


class Status(StrEnum):
    EXCELLENT = "excellent"
    FAIR = "fair"
    AT_RISK = "at-risk"
    NOT_COMPUTED = "not-computed"
    INSUFFICIENT_DATA = "insufficient-data"


@alerts.command("list")
def list_alerts(
    customer: Annotated[str, typer.Option(metavar="ID", help="Only of this customer.")] = "",
    only_open: Annotated[bool, typer.Option("--open", help="Only those that nobody took note of yet.")] = False,
    size: Size = 50,
    page: Page = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """List alerts, newest first."""
    from kejing.health.v1.alerts_service_pb2 import ListAlertsRequest
    from services.cli.output import show

    asked = ListAlertsRequest(customer_id=customer, open_only=only_open, page_size=size, page_token=page)
    answer = _alerts(login, "ListAlerts", asked)
    show(answer, answer.alerts, ALERT, as_json=as_json)


@alerts.command("acknowledge")
def acknowledge(
    alert: Annotated[str, typer.Argument(metavar="ID", help="The alert.")], login: As = ME, as_json: Json = False
) -> None:
    """Say that you took note of an alert."""
    from kejing.health.v1.alerts_service_pb2 import AcknowledgeAlertRequest
    from services.cli.client import new_request_id
    from services.cli.output import show_one

    asked = AcknowledgeAlertRequest(request_id=new_request_id(), alert_id=alert)
    answer = _alerts(login, "AcknowledgeAlert", asked)
    show_one(answer, answer.alert, ALERT, as_json=as_json)


@alerts.command("subscriptions")
def list_subscriptions(size: Size = 50, page: Page = "", login: As = ME, as_json: Json = False) -> None:
    """List which changes raise alerts, the oldest subscription first."""
    from kejing.health.v1.alerts_service_pb2 import ListAlertSubscriptionsRequest
    from services.cli.output import show

    asked = ListAlertSubscriptionsRequest(page_size=size, page_token=page)
    answer = _alerts(login, "ListAlertSubscriptions", asked)
    show(answer, answer.subscriptions, SUBSCRIPTION, as_json=as_json)


@alerts.command("subscribe")
def subscribe(
    before: Annotated[Status | None, typer.Option("--from", help="The status before; any without.")] = None,
    after: Annotated[Status | None, typer.Option("--to", help="The status after; any without.")] = None,
    any_fall: Annotated[bool, typer.Option("--any-fall", help="Any change for the worse, instead of both.")] = False,
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Let a kind of change raise an alert, of which all owners of the customer are told."""
    from kejing.health.v1.alerts_pb2 import Transition
    from kejing.health.v1.alerts_service_pb2 import CreateAlertSubscriptionRequest
    from kejing.health.v1.health_pb2 import HealthStatus
    from services.cli.client import new_request_id
    from services.cli.output import show_one

    statuses: dict[str, Any] = {
        field: HealthStatus.Value(f"HEALTH_STATUS_{status.name}")
        for field, status in (("from", before), ("to", after))
        if status
    }
    transition = Transition(any_fall=any_fall, **statuses)
    asked = CreateAlertSubscriptionRequest(request_id=new_request_id(), transition=transition)
    answer = _alerts(login, "CreateAlertSubscription", asked)
    show_one(answer, answer.subscription, SUBSCRIPTION, as_json=as_json)


@alerts.command("unsubscribe")
def unsubscribe(
    subscription: Annotated[str, typer.Argument(metavar="ID", help="The subscription.")], login: As = ME
) -> None:
    """End a subscription; the alerts that it raised stay."""
    from kejing.health.v1.alerts_service_pb2 import DeleteAlertSubscriptionRequest
    from services.cli.client import new_request_id

    asked = DeleteAlertSubscriptionRequest(request_id=new_request_id(), subscription_id=subscription)
    _alerts(login, "DeleteAlertSubscription", asked)
    print(f"subscription {subscription} has ended")


def _alerts(login: str, method: str, request: Any) -> Any:
    from kejing.health.v1.alerts_service_pb2_grpc import AlertsServiceStub
    from services.cli.client import connect

    with connect(login) as kejing:
        return getattr(kejing.stub(AlertsServiceStub), method)(request)


def _moved(alert: Any) -> str:
    """tickets_14d 2 → 7"""
    if not alert.HasField("moved"):
        return ""
    return f"{alert.moved.metric} {alert.moved.before.value or '—'} → {alert.moved.after.value or '—'}"
