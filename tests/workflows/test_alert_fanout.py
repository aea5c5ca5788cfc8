"""From an evaluation to the inboxes, through the real services: every owner is told once, whatever is repeated."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr
from temporalio.client import Client
from temporalio.worker import Worker

from kejing.common.v1.events_pb2 import Event
from kejing.customers.v1.customer_pb2 import OwnerRole
from kejing.customers.v1.events_pb2 import CustomerFacts, CustomersChanged
from kejing.health.v1 import (
    alerts_pb2,
    alerts_service_pb2,
    alerts_service_pb2_grpc,
    events_pb2,
    health_service_pb2,
    health_service_pb2_grpc,
)
from kejing.identity.v1.employee_pb2 import Employee
from kejing.notifications.v1 import inbox_service_pb2, inbox_service_pb2_grpc
from services.health import consumers as of_health
from services.health.domain.weeks import Week
from services.health.storage import usage
from services.health.storage.usage import DayFigures
from services.shared.access.projection import put_owners
from services.shared.clock import utc_now
from services.shared.db import Write
from services.shared.ids import new_id
from tests.support.employees import new_employee
from tests.support.eventually import eventually
from tests.support.health import open_health
from tests.support.services import RunningServices
from workflows import alert_fanout, health_evaluation, sweep
from workflows.alert_fanout.types import FanoutOrder
from workflows.alert_fanout.workflow import AlertFanout
from workflows.clients import Clients
from workflows.health_evaluation.starting import start_requested
from workflows.names import TaskQueue, alerts_workflow, health_workflow
from workflows.settings import WorkflowsSettings
from workflows.worker import activities, sandbox

LAST = Week.last_ended(utc_now(), ZoneInfo("Asia/Shanghai"))
GOOD = {"active_users": 9, "active_users_14d": 9, "tickets_opened": 0, "urgent_tickets_open": 0}
ASKS = str(new_id())
"""The employee who asks for evaluations."""
BAD = {**GOOD, "active_users_14d": 4}


@pytest.fixture
async def clients(services: RunningServices) -> AsyncIterator[Clients]:
    """Of the real services."""
    await services.start("health", "notifications")
    settings = WorkflowsSettings(
        bind="127.0.0.1:0",
        nats_url=SecretStr("nats://unused"),
        machine_key_file=services.infrastructure.machine_key_file("processes"),
        temporal_address=await services.infrastructure.temporal_address(),
        **{f"{name}_address": services.address(name)  # type: ignore[arg-type]
           for name in ("identity", "tasks", "customers", "health", "notifications")},
    )  # fmt: skip
    opened = Clients(settings)
    yield opened
    await opened.close()


@pytest.fixture
async def worker(temporal: Client, clients: Clients) -> AsyncIterator[None]:
    """A worker that calls the real services."""
    packages = [health_evaluation, alert_fanout]
    async with Worker(
        temporal,
        task_queue=TaskQueue.BATCH,
        workflows=[*health_evaluation.WORKFLOWS, *alert_fanout.WORKFLOWS],
        activities=activities(packages, clients),
        workflow_runner=sandbox(),
    ):
        yield


@pytest.fixture
async def people(services: RunningServices) -> list[Employee]:
    """Two CSMs who own nothing yet."""
    return [await new_employee(services, "CSM") for _ in range(2)]


def facts_of(customer_id: str, *owners: Employee, version: int = 1) -> CustomerFacts:
    facts = CustomerFacts(id=customer_id, external_id=f"E-{customer_id}", seats=10, version=version)
    facts.created_at.FromDatetime(utc_now() - timedelta(days=400))
    for role, owner in zip(OwnerRole.values()[1:], owners, strict=False):
        facts.owners.add(role=role, employee_id=owner.id)
    return facts


async def tell_health(write: Write, facts: CustomerFacts) -> None:
    await put_owners(write, [facts])
    await of_health.customers_changed(write, Event(), CustomersChanged(customers=[facts]))


async def customer(services: RunningServices, *owners: Employee) -> str:
    """A customer that both services were told of, excellent two weeks ago and at risk since."""
    facts = facts_of(str(new_id()), *owners)
    async with services.db("notifications").transaction(actor="machine:test") as write:
        await put_owners(write, [facts])
    async with services.db("health").transaction(actor="machine:test", unscoped="as events tell it") as write:
        await tell_health(write, facts)
        days = {LAST.sunday - timedelta(days=back): BAD if back < 7 else GOOD for back in range(21)}
        rows = [DayFigures(str(new_id()), new_id().bytes, UUID(facts.id), day, told) for day, told in days.items()]
        await usage.take(write, "test", rows)
    return facts.id


async def evaluated(services: RunningServices, temporal: Client, week: Week) -> Any:
    """The result of a run of the week, after its fan-out ended."""
    rules = await services.stub(health_service_pb2_grpc.HealthServiceStub)
    request = health_service_pb2.RequestEvaluationRequest(request_id=str(new_id()), week=str(week))
    run = (await rules.RequestEvaluation(request)).evaluation
    asked = events_pb2.EvaluationRequested(run_id=run.run_id, week=run.week, number=run.number)
    await start_requested(temporal, asked, ASKS)
    await start_requested(temporal, asked, ASKS)
    result = await temporal.get_workflow_handle(health_workflow(run.week, run.number)).result()
    assert result["run_id"] == run.run_id
    if result["transitions"]:
        await temporal.get_workflow_handle(alerts_workflow(run.run_id, "0")).result()
    return (await rules.GetEvaluation(health_service_pb2.GetEvaluationRequest(run_id=run.run_id))).evaluation


async def inbox(services: RunningServices, employee: Employee) -> list[Any]:
    stub = await services.stub(inbox_service_pb2_grpc.InboxServiceStub, f"employee:{employee.login}")
    return list((await stub.ListInbox(inbox_service_pb2.ListInboxRequest())).items)


async def test_a_fall_reaches_every_owner_once(
    services: RunningServices, temporal: Client, worker: None, people: list[Employee]
) -> None:
    alerts = await services.stub(alerts_service_pb2_grpc.AlertsServiceStub)
    subscription = alerts_service_pb2.CreateAlertSubscriptionRequest(
        request_id=str(new_id()), transition=alerts_pb2.Transition(any_fall=True)
    )
    made = (await alerts.CreateAlertSubscription(subscription)).subscription
    csm, analyst = people
    fallen = await customer(services, csm, analyst)
    assert (await evaluated(services, temporal, LAST.previous)).HasField("finished_at")
    assert await inbox(services, csm) == []
    run = await evaluated(services, temporal, LAST)

    for owner in (csm, analyst):
        (item,) = await inbox(services, owner)
        assert item.customer_id == fallen
        assert dict(item.facts) == {
            "from": "EXCELLENT", "to": "AT_RISK", "week": str(LAST),
            "metric": "active_ratio_14d", "before": "0.9", "after": "0.4",
        }  # fmt: skip
    # the fan-out again, and the week again: nobody is told twice
    again = await temporal.execute_workflow(
        AlertFanout.run, FanoutOrder(run.run_id, 0, str(LAST)), id=f"again-{new_id()}", task_queue=TaskQueue.BATCH
    )
    assert again.raised >= 1
    assert again.delivered == 0
    await evaluated(services, temporal, LAST)
    assert [len(await inbox(services, owner)) for owner in (csm, analyst)] == [1, 1]
    end = alerts_service_pb2.DeleteAlertSubscriptionRequest(request_id=str(new_id()), subscription_id=made.id)
    await alerts.DeleteAlertSubscription(end)


async def test_what_temporal_lost_is_delivered_by_the_sweep_once(
    services: RunningServices, temporal: Client, clients: Clients, worker: None, people: list[Employee]
) -> None:
    health = await open_health(services)
    for run_id, key_range, _ in await health.owed():  # by other tests, of customers whom no inbox knows
        await health.alerts.MarkRangeAlerted(alerts_service_pb2.MarkRangeAlertedRequest(run_id=run_id, range=key_range))
    alerts = await services.stub(alerts_service_pb2_grpc.AlertsServiceStub)
    subscription = alerts_service_pb2.CreateAlertSubscriptionRequest(
        request_id=str(new_id()), transition=alerts_pb2.Transition(any_fall=True)
    )
    made = (await alerts.CreateAlertSubscription(subscription)).subscription
    owner = people[0]
    await customer(services, owner)
    await evaluated(services, temporal, LAST.previous)
    assert await health.owed() == []  # a fan-out that came to its end left nothing to do
    run = await health.new_run(LAST)  # by its steps alone: nothing in Temporal knows of it
    lost = alerts_workflow(run.run_id, "0")
    order = FanoutOrder(run.run_id, 0, str(LAST))
    begun = await temporal.start_workflow(
        AlertFanout.run, order, id=lost, task_queue=TaskQueue.BATCH, start_delay=timedelta(hours=1)
    )
    await begun.terminate()
    assert await sweep.start_owed_alerts(temporal, clients, utc_now() + timedelta(seconds=100)) == 0  # it is fresh
    assert await inbox(services, owner) == []

    later = utc_now() + timedelta(seconds=140)
    assert await sweep.start_owed_alerts(temporal, clients, later) == 1
    await sweep.start_owed_alerts(temporal, clients, later)
    assert (await temporal.get_workflow_handle(lost).result())["delivered"] >= 1
    assert len(await inbox(services, owner)) == 1
    assert await health.owed() == []
    assert await sweep.start_owed_alerts(temporal, clients, later) == 0
    again = await temporal.execute_workflow(AlertFanout.run, order, id=f"again-{new_id()}", task_queue=TaskQueue.BATCH)
    assert again.delivered == 0
    assert len(await inbox(services, owner)) == 1
    end = alerts_service_pb2.DeleteAlertSubscriptionRequest(request_id=str(new_id()), subscription_id=made.id)
    await alerts.DeleteAlertSubscription(end)


async def test_a_new_owner_is_told_though_his_inbox_hears_of_him_late(
    services: RunningServices, temporal: Client, worker: None, people: list[Employee]
) -> None:
    alerts = await services.stub(alerts_service_pb2_grpc.AlertsServiceStub)
    subscription = alerts_service_pb2.CreateAlertSubscriptionRequest(
        request_id=str(new_id()), transition=alerts_pb2.Transition(any_fall=True)
    )
    made = (await alerts.CreateAlertSubscription(subscription)).subscription
    former, present = people
    fallen = await customer(services, former)
    changed = facts_of(fallen, present, version=2)
    async with services.db("health").transaction(actor="machine:test", unscoped="as events tell it") as write:
        await tell_health(write, changed)
    await evaluated(services, temporal, LAST.previous)
    evaluating = asyncio.create_task(evaluated(services, temporal, LAST))

    async def raised() -> bool:
        asked = alerts_service_pb2.ListAlertsRequest(customer_id=fallen)
        return bool((await alerts.ListAlerts(asked)).alerts)

    await eventually(raised)
    async with services.db("notifications").transaction(actor="machine:test") as write:
        await put_owners(write, [changed])
    await evaluating
    assert [len(await inbox(services, owner)) for owner in (former, present)] == [0, 1]
    end = alerts_service_pb2.DeleteAlertSubscriptionRequest(request_id=str(new_id()), subscription_id=made.id)
    await alerts.DeleteAlertSubscription(end)
