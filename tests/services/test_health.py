"""The health service by gRPC: evaluation step by step, what is read of it, alerts."""

from collections.abc import AsyncIterator
from datetime import date, timedelta

import pytest

from kejing.health.v1 import (
    alerts_pb2,
    alerts_service_pb2,
    alerts_service_pb2_grpc,
    evaluations_service_pb2,
    evaluations_service_pb2_grpc,
    events_pb2,
    health_pb2,
    health_service_pb2,
)
from services.shared.clock import utc_now
from services.shared.ids import new_id
from services.shared.rpc.wire import to_timestamp
from tests.support.health import Health, open_health
from tests.support.refusals import refused
from tests.support.services import RunningServices

EXCELLENT, FAIR, AT_RISK = (
    health_pb2.HEALTH_STATUS_EXCELLENT, health_pb2.HEALTH_STATUS_FAIR, health_pb2.HEALTH_STATUS_AT_RISK,
)  # fmt: skip
GOOD = {"active_users": 9, "active_users_14d": 9, "tickets_opened": 0, "urgent_tickets_open": 0}
SO_SO = {**GOOD, "active_users_14d": 7}
BAD = {**GOOD, "urgent_tickets_open": 3}


@pytest.fixture
async def health(services: RunningServices) -> Health:
    return await open_health(services)


@pytest.fixture
async def any_fall(services: RunningServices) -> AsyncIterator[str]:
    """A subscription to any fall, for the time of a test."""
    stub = await services.stub(alerts_service_pb2_grpc.AlertsServiceStub)
    order = alerts_service_pb2.CreateAlertSubscriptionRequest(
        request_id=str(new_id()), transition=alerts_pb2.Transition(any_fall=True)
    )
    made = (await stub.CreateAlertSubscription(order)).subscription
    assert (await stub.CreateAlertSubscription(order)).subscription == made
    listed = await stub.ListAlertSubscriptions(alerts_service_pb2.ListAlertSubscriptionsRequest(page_size=500))
    assert made in listed.subscriptions
    yield made.id
    end = alerts_service_pb2.DeleteAlertSubscriptionRequest(request_id=str(new_id()), subscription_id=made.id)
    await stub.DeleteAlertSubscription(end)
    await stub.DeleteAlertSubscription(end)


async def test_an_evaluation_step_by_step(health: Health, any_fall: str) -> None:
    last, before = health.last, health.last.previous
    falling = await health.customer(before, GOOD)
    steady = await health.customer(before, GOOD)
    first = await health.new_run(before)
    assert (first.ranges, first.ranges_done) == (1, 1)
    newcomer = await health.customer(before, None)

    await health.figures(falling, last, BAD)
    await health.figures(steady, last, GOOD)
    second = await health.new_run(last)
    assert second.HasField("finished_at")
    # each step again: the same answers, and nothing more
    assert await health.evaluate(last, second.number) == second

    found = await health.rules.GetHealth(health_service_pb2.GetHealthRequest(customer_id=str(falling)))
    assert (found.health.status, found.health.previous_status) == (AT_RISK, EXCELLENT)
    assert (found.health.week, found.health.rule_set_version) == (str(last), 1)
    assert date(found.health.data_until.year, found.health.data_until.month, found.health.data_until.day) == last.sunday
    assert {one.metric: one.value.value for one in found.health.inputs} == {
        "active_ratio_14d": "0.9", "active_days_14d": "14", "tickets_14d": "0", "urgent_open_tickets_7d": "3",
    }  # fmt: skip
    held = [one.comparison.field for one in found.reasons if one.level == AT_RISK and one.holds]
    assert (len(found.reasons), held) == (8, ["urgent_open_tickets_7d"])
    history = await health.rules.ListHealthHistory(
        health_service_pb2.ListHealthHistoryRequest(customer_id=str(falling), page_size=1)
    )
    assert [week.week for week in history.weeks] == [str(last)]
    rest = health_service_pb2.ListHealthHistoryRequest(customer_id=str(falling), page_token=history.next_page_token)
    assert [week.status for week in (await health.rules.ListHealthHistory(rest)).weeks] == [EXCELLENT]

    events = [item for event in await health.told(events_pb2.HealthChanged) for item in event.items]
    told = [(item.week, item.status, item.previous_status) for item in events if item.customer_id == str(falling)]
    assert told == [(str(before), EXCELLENT, health_pb2.HEALTH_STATUS_NOT_COMPUTED), (str(last), AT_RISK, EXCELLENT)]
    assert [item.week for item in events if item.customer_id == str(steady)] == [str(before)]

    alerts = await health.raise_alerts(second)
    mine = [alert for alert in alerts if alert.customer_id == str(falling)]
    assert [(getattr(alert, "from"), alert.to, alert.week) for alert in mine] == [(EXCELLENT, AT_RISK, str(last))]
    moved = mine[0].moved
    assert (moved.metric, moved.before.value, moved.after.value) == ("urgent_open_tickets_7d", "0", "3")
    assert not [alert for alert in alerts if alert.customer_id in {str(steady), str(newcomer)}]
    assert await health.raise_alerts(second) == alerts
    third = await health.new_run(last)  # the week again: the same transition raises nothing again
    assert not [alert for alert in await health.raise_alerts(third) if alert.customer_id == str(falling)]


async def test_alerts_are_listed_and_acknowledged_once(
    health: Health, any_fall: str, services: RunningServices
) -> None:
    last = health.last
    customer = await health.customer(last.previous, GOOD)
    await health.new_run(last.previous)
    await health.figures(customer, last, SO_SO)
    await health.raise_alerts(await health.new_run(last))
    stub = await services.stub(alerts_service_pb2_grpc.AlertsServiceStub)
    listing = alerts_service_pb2.ListAlertsRequest(customer_id=str(customer), open_only=True)
    (alert,) = (await stub.ListAlerts(listing)).alerts
    assert (getattr(alert, "from"), alert.to, alert.moved.metric) == (EXCELLENT, FAIR, "active_ratio_14d")
    order = alerts_service_pb2.AcknowledgeAlertRequest(request_id=str(new_id()), alert_id=alert.id)
    taken = (await stub.AcknowledgeAlert(order)).alert
    assert taken.acknowledged_by
    assert (await stub.AcknowledgeAlert(order)).alert == taken
    assert not (await stub.ListAlerts(listing)).alerts
    everything = alerts_service_pb2.ListAlertsRequest(page_size=1)
    assert (await stub.ListAlerts(everything)).alerts
    unknown = alerts_service_pb2.AcknowledgeAlertRequest(request_id=str(new_id()), alert_id=str(new_id()))
    assert (await refused(stub.AcknowledgeAlert(unknown))).reason == "ALERT_NOT_FOUND"


async def test_a_range_owes_alerts_until_it_is_said_that_they_are_delivered(health: Health) -> None:
    last = health.last
    await health.figures(await health.customer(last.previous, GOOD), last, GOOD)
    run, again = [await health.new_run(last.previous) for _ in range(2)]
    assert run.transitions == again.transitions > 0  # against the week before
    mine = [(one.run_id, 0, str(last.previous)) for one in (run, again)]
    assert [one for one in await health.owed() if one in mine] == mine
    early = utc_now() - timedelta(minutes=2)
    assert not [one for one in await health.owed(done_before=early) if one in mine]

    mark = alerts_service_pb2.MarkRangeAlertedRequest(run_id=run.run_id, range=0)
    await health.alerts.MarkRangeAlerted(mark)
    await health.alerts.MarkRangeAlerted(mark)
    assert [one for one in await health.owed() if one in mine] == mine[1:]
    await health.evaluate(last.previous, run.number)  # the steps again: it stays as it is
    assert [one for one in await health.owed() if one in mine] == mine[1:]


async def test_what_is_not_evaluated_owes_no_alerts_and_cannot_be_marked(health: Health) -> None:
    asked = health_service_pb2.RequestEvaluationRequest(request_id=str(new_id()), week=str(health.last))
    run = (await health.rules.RequestEvaluation(asked)).evaluation
    plan = evaluations_service_pb2.PlanEvaluationRequest(week=str(health.last), number=run.number)
    await health.steps.PlanEvaluation(plan)
    assert run.run_id not in [run_id for run_id, *_ in await health.owed()]
    mark = alerts_service_pb2.MarkRangeAlertedRequest(run_id=run.run_id, range=0)
    answer = await refused(health.alerts.MarkRangeAlerted(mark))
    assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "RANGE_OPEN")
    unknown = alerts_service_pb2.MarkRangeAlertedRequest(run_id=run.run_id, range=7)
    assert (await refused(health.alerts.MarkRangeAlerted(unknown))).reason == "EVALUATION_RANGE_NOT_FOUND"
    await health.evaluate(health.last, run.number)


async def test_who_was_never_evaluated_is_not_computed(health: Health) -> None:
    customer = await health.customer(health.last, None)
    answer = await health.rules.GetHealth(health_service_pb2.GetHealthRequest(customer_id=str(customer)))
    assert answer.health.status == health_pb2.HEALTH_STATUS_NOT_COMPUTED
    assert not answer.reasons
    unknown = health_service_pb2.GetHealthRequest(customer_id=str(new_id()))
    assert (await refused(health.rules.GetHealth(unknown))).reason == "CUSTOMER_NOT_FOUND"
    wrong = health_service_pb2.GetHealthRequest(customer_id="x")
    assert (await refused(health.rules.GetHealth(wrong))).fields == ("customer_id",)


async def test_the_distribution_counts_everybody(health: Health) -> None:
    await health.customer(health.last, GOOD)
    await health.new_run(health.last)
    await health.customer(health.last, None)
    answer = (await health.rules.GetHealthDistribution(health_service_pb2.GetHealthDistributionRequest())).distribution
    assert answer.week == str(health.last)
    counts = {one.status: one.customers for one in answer.counts}
    assert counts[EXCELLENT] >= 1
    assert counts[health_pb2.HEALTH_STATUS_NOT_COMPUTED] >= 1


async def test_requested_runs_are_told_of_and_numbered(health: Health) -> None:
    asked = health_service_pb2.RequestEvaluationRequest(request_id=str(new_id()))
    run = (await health.rules.RequestEvaluation(asked)).evaluation
    assert (await health.rules.RequestEvaluation(asked)).evaluation == run
    assert (run.week, run.ranges) == (str(health.last), 0)
    (told,) = [event for event in await health.told(events_pb2.EvaluationRequested) if event.run_id == run.run_id]
    assert (told.week, told.number) == (run.week, run.number)
    another = health_service_pb2.RequestEvaluationRequest(request_id=str(new_id()))
    assert (await health.rules.RequestEvaluation(another)).evaluation.number == run.number + 1
    open_run = evaluations_service_pb2.FinishEvaluationRequest(run_id=run.run_id)
    assert (await refused(health.steps.FinishEvaluation(open_run))).reason == "RANGES_OPEN"
    for week in (str(health.last.next), "2026-W60", "0001-W01"):
        wrong = health_service_pb2.RequestEvaluationRequest(request_id=str(new_id()), week=week)
        answer = await refused(health.rules.RequestEvaluation(wrong))
        assert (answer.code, answer.fields) == ("INVALID_ARGUMENT", ("week",))
    got = await health.rules.GetEvaluation(health_service_pb2.GetEvaluationRequest(run_id=run.run_id))
    assert got.evaluation == run


async def test_weeks_without_a_finished_run_are_listed_until_they_have_one(health: Health) -> None:
    await health.customer(health.last, GOOD)
    week = health.last
    for _ in range(8):
        week = week.previous
    await health.forget_runs(week)
    unfinished = evaluations_service_pb2.ListUnfinishedWeeksRequest()
    weeks = (await health.steps.ListUnfinishedWeeks(unfinished)).weeks
    assert weeks == sorted(weeks)
    assert str(week) in weeks
    assert len(weeks) <= 12
    await health.evaluate(week, 1)
    assert str(week) not in (await health.steps.ListUnfinishedWeeks(unfinished)).weeks


async def test_the_steps_are_for_machines(services: RunningServices) -> None:
    stub = await services.stub(evaluations_service_pb2_grpc.EvaluationsServiceStub)
    answer = await refused(stub.ListUnfinishedWeeks(evaluations_service_pb2.ListUnfinishedWeeksRequest()))
    assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "MACHINES_ONLY")
    alerts = await services.stub(alerts_service_pb2_grpc.AlertsServiceStub)
    wrong = alerts_service_pb2.RaiseAlertsRequest(run_id=str(new_id()))
    assert (await refused(alerts.RaiseAlerts(wrong))).reason == "MACHINES_ONLY"
    marked = alerts_service_pb2.MarkRangeAlertedRequest(run_id=str(new_id()))
    assert (await refused(alerts.MarkRangeAlerted(marked))).reason == "MACHINES_ONLY"
    listed = alerts_service_pb2.ListUnalertedRangesRequest(done_before=to_timestamp(utc_now()))
    assert (await refused(alerts.ListUnalertedRanges(listed))).reason == "MACHINES_ONLY"


async def test_a_subscription_that_cannot_match_is_refused(services: RunningServices) -> None:
    stub = await services.stub(alerts_service_pb2_grpc.AlertsServiceStub)
    for transition, field in (
        (alerts_pb2.Transition(), "transition"),
        (alerts_pb2.Transition(any_fall=True, to=FAIR), "transition.any_fall"),
        (alerts_pb2.Transition(**{"from": FAIR, "to": FAIR}), "transition.to"),  # type: ignore[arg-type]
    ):
        order = alerts_service_pb2.CreateAlertSubscriptionRequest(request_id=str(new_id()), transition=transition)
        assert (await refused(stub.CreateAlertSubscription(order))).fields == (field,)
    end = alerts_service_pb2.DeleteAlertSubscriptionRequest(request_id=str(new_id()), subscription_id=str(new_id()))
    assert (await refused(stub.DeleteAlertSubscription(end))).reason == "ALERT_SUBSCRIPTION_NOT_FOUND"
