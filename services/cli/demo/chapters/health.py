"""Usage comes in, rules judge it week by week, and who looks after a falling customer hears of it."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import islice

from google.type.date_pb2 import Date

from kejing.common.v1 import condition_pb2
from kejing.health.v1 import (
    alerts_pb2,
    alerts_service_pb2,
    alerts_service_pb2_grpc,
    evaluation_pb2,
    health_pb2,
    health_service_pb2,
    health_service_pb2_grpc,
    metrics_service_pb2,
    metrics_service_pb2_grpc,
    usage_pb2,
)
from kejing.notifications.v1 import inbox_pb2, inbox_service_pb2, inbox_service_pb2_grpc
from services.cli.demo.data.usage import Day, usage
from services.cli.demo.stage import Stage

BATCH = 500
LESS, AT_MOST = condition_pb2.OPERATOR_LESS, condition_pb2.OPERATOR_LESS_OR_EQUAL
AT_LEAST = condition_pb2.OPERATOR_GREATER_OR_EQUAL


def play(stage: Stage) -> None:
    teller = stage.teller
    teller.chapter("Health 健康状态: usage becomes a status, a fall becomes an alert")
    # Rules and subscription first: the weekly schedule may take up the figures as soon as they are there.
    _make_rules(stage)
    _subscribe(stage)
    _ingest(stage)
    monday = stage.today - timedelta(days=stage.today.weekday())
    for back in (2, 1):
        week = (monday - timedelta(weeks=back)).isocalendar()
        _evaluate(stage, f"{week.year}-W{week.week:02}")
    _await_alerts(stage)


def _ingest(stage: Stage) -> None:
    teller = stage.teller
    days = list(usage(stage.customers, stage.today))
    teller.step("Daily figures of the last five weeks are streamed in; sending them twice changes nothing.")
    service = stage.stub(metrics_service_pb2_grpc.MetricsServiceStub, "data.lin")
    first = service.IngestUsage(_batches(days))
    again = service.IngestUsage(_batches(days[:BATCH]))
    if first.rejected or again.written:
        raise teller.failed(f"{first.rejected} rows were rejected, {again.written} of the second time written")
    parked = f", {first.parked} wait for their customer" if first.parked else ""
    teller.happened(f"{len(days)} rows: {first.written} written, {first.unchanged} known{parked}")


def _batches(days: Iterable[Day]) -> Iterator[metrics_service_pb2.IngestUsageRequest]:
    rest = iter(days)
    while batch := list(islice(rest, BATCH)):
        yield metrics_service_pb2.IngestUsageRequest(source="product", rows=map(_row, batch))


def _row(each: Day) -> usage_pb2.UsageRow:
    return usage_pb2.UsageRow(
        source_id=each.source_id,
        external_id=each.customer_external_id,
        day=Date(year=each.day.year, month=each.day.month, day=each.day.day),
        figures=usage_pb2.UsageFigures(
            active_users=each.active_users,
            active_users_14d=each.active_users_14d,
            events=each.events,
            errors=each.errors,
            seconds=each.seconds,
            tickets_opened=each.tickets_opened,
            urgent_tickets_open=each.urgent_tickets_open,
        ),
    )


def _make_rules(stage: Stage) -> None:
    """A rule set of the demonstration's own, put in force unless the one in force is called the same."""
    teller, name = stage.teller, "演示规则 Demonstration rules"
    service = stage.stub(health_service_pb2_grpc.HealthServiceStub, "data.lin")
    teller.step(
        "Rules: 危险 AT_RISK if any danger condition holds, else 优秀 EXCELLENT if all of these hold, else 一般 FAIR."
    )
    rules = health_pb2.NewRuleSet(
        name=name,
        at_risk=_tree("any", ("active_ratio_14d", AT_MOST, "0.5"), ("active_days_14d", AT_MOST, "7"),
                      ("tickets_14d", AT_LEAST, "5"), ("urgent_open_tickets_7d", AT_LEAST, "2")),
        excellent=_tree("all", ("active_ratio_14d", AT_LEAST, "0.8"), ("active_days_14d", AT_LEAST, "9"),
                        ("tickets_14d", AT_MOST, "2"), ("urgent_open_tickets_7d", LESS, "0")),
    )  # fmt: skip
    create = health_service_pb2.CreateRuleSetRequest(request_id=stage.request_id(), rule_set=rules)
    teller.step("A condition that can never hold (fewer than 0 urgent tickets) is refused when it is saved:")
    stage.refused(lambda: service.CreateRuleSet(create), "CONDITION_IMPOSSIBLE")
    newest = service.ListRuleSets(health_service_pb2.ListRuleSetsRequest()).rule_sets
    if any(known.name == name and known.HasField("published_at") for known in newest):
        teller.happened("corrected to at most 0, the rules have been in force since an earlier telling")
        return
    create.request_id = stage.request_id()
    create.rule_set.excellent.all.conditions[-1].comparison.operator = AT_MOST
    saved = service.CreateRuleSet(create).rule_set
    publish = health_service_pb2.PublishRuleSetRequest(request_id=stage.request_id(), rule_set_id=saved.id)
    teller.happened(f"corrected to at most 0, version {service.PublishRuleSet(publish).rule_set.version} is in force")


def _tree(kind: str, *comparisons: tuple[str, "condition_pb2.Operator.ValueType", str]) -> condition_pb2.Condition:
    parts = condition_pb2.Conditions(
        conditions=[
            condition_pb2.Condition(comparison=condition_pb2.Comparison(field=field, operator=operator, value=value))
            for field, operator, value in comparisons
        ]
    )
    return condition_pb2.Condition(all=parts) if kind == "all" else condition_pb2.Condition(any=parts)


def _subscribe(stage: Stage) -> None:
    teller = stage.teller
    teller.step("data.lin, who sees all customers, subscribes them to alerts 预警 about any fall.")
    alerts = stage.stub(alerts_service_pb2_grpc.AlertsServiceStub, "data.lin")
    known = list(alerts.ListAlertSubscriptions(alerts_service_pb2.ListAlertSubscriptionsRequest()).subscriptions)
    if not any(each.transition.any_fall for each in known):
        wanted = alerts_service_pb2.CreateAlertSubscriptionRequest(
            request_id=stage.request_id(), transition=alerts_pb2.Transition(any_fall=True)
        )
        known = [alerts.CreateAlertSubscription(wanted).subscription]
    teller.happened(f"subscription {next(each.id for each in known if each.transition.any_fall)}")


def _evaluate(stage: Stage, week: str) -> None:
    teller = stage.teller
    teller.step(f"The weekly evaluation of {week} is asked for; a workflow health/{week} does it, range by range.")
    service = stage.stub(health_service_pb2_grpc.HealthServiceStub, "data.lin")
    asked = health_service_pb2.RequestEvaluationRequest(request_id=stage.request_id(), week=week)
    run = service.RequestEvaluation(asked).evaluation

    def finished() -> evaluation_pb2.Evaluation | None:
        found = service.GetEvaluation(health_service_pb2.GetEvaluationRequest(run_id=run.run_id)).evaluation
        return found if found.HasField("finished_at") else None

    done = teller.until(f"the evaluation of {week} is finished", finished, within=45)
    counts = service.GetHealthDistribution(health_service_pb2.GetHealthDistributionRequest(week=week))
    shown = ", ".join(f"{c.customers} {_status(c.status)}" for c in counts.distribution.counts)
    teller.happened(f"{done.customers} customers, {done.transitions} of them changed: {shown}")


def _await_alerts(stage: Stage) -> None:
    teller = stage.teller
    teller.step("Each fall reaches the inbox of every owner of the customer, once.")
    alerts = stage.stub(alerts_service_pb2_grpc.AlertsServiceStub)
    raised = alerts.ListAlerts(alerts_service_pb2.ListAlertsRequest(page_size=500))
    owners: dict[str, set[str]] = {}
    for customer in stage.customers:
        owners[stage.customer_ids[customer.external_id]] = set(customer.owners.values())
    expected: dict[str, set[str]] = {}

    def arrived() -> bool:
        nonlocal raised
        raised = alerts.ListAlerts(alerts_service_pb2.ListAlertsRequest(page_size=500))
        expected.clear()
        for alert in raised.alerts:
            for login in owners.get(alert.customer_id, ()):
                expected.setdefault(login, set()).add(alert.id)
        return bool(expected) and all(ids <= _alerts_in_inbox(stage, login) for login, ids in expected.items())

    teller.until("the alerts are in the owners' inboxes", arrived, within=30)
    rows = [
        (stage.name_of(each.customer_id), each.week, _status(getattr(each, "from")), _status(each.to), _cause(each))
        for each in raised.alerts[:6]
    ]
    teller.table(("customer", "week", "from", "to", "because"), rows)
    inboxes = ", ".join(f"{login} {len(ids)}" for login, ids in sorted(expected.items()))
    teller.happened(f"{len(raised.alerts)} alerts; in the inboxes: {inboxes}")


def _alerts_in_inbox(stage: Stage, login: str) -> set[str]:
    """Ids of the alerts in the employee's inbox. Raises CommandFailed where one is there twice."""
    inbox = stage.stub(inbox_service_pb2_grpc.InboxServiceStub, login)
    request, found = inbox_service_pb2.ListInboxRequest(page_size=500), []
    while True:
        answer = inbox.ListInbox(request)
        found += [item.alert_id for item in answer.items if item.kind == inbox_pb2.INBOX_ITEM_KIND_HEALTH_ALERT]
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    if len(found) != len(set(found)):
        raise stage.teller.failed(f"an alert is in the inbox of {login} twice")
    return set(found)


def _cause(alert: alerts_pb2.Alert) -> str:
    moved = alert.moved
    return f"{moved.metric} {_number(moved.before.value)} → {_number(moved.after.value)}" if moved.metric else ""


def _status(value: int) -> str:
    return health_pb2.HealthStatus.Name(value).removeprefix("HEALTH_STATUS_")  # type: ignore[arg-type]


def _number(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text or "—"
