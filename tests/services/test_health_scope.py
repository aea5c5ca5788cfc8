"""What one sees of health: exactly the customers in scope; the others as if they weren't there."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, func, select

from kejing.health.v1 import (
    alerts_pb2,
    alerts_service_pb2,
    alerts_service_pb2_grpc,
    health_pb2,
    health_service_pb2,
    health_service_pb2_grpc,
    metrics_service_pb2,
    metrics_service_pb2_grpc,
)
from kejing.identity.v1.employee_pb2 import Employee
from services.health.storage.tables import customers
from services.shared.access.tables import customer_access
from services.shared.access.tables import customers as known_customers
from services.shared.audit.tables import audit
from services.shared.ids import new_id
from tests.support.customers import bring
from tests.support.employees import new_employee
from tests.support.eventually import eventually
from tests.support.health import Health, open_health
from tests.support.people import acting_for, owned_by, stub_of, tell_deputy, to_day
from tests.support.refusals import refused
from tests.support.services import RunningServices

GOOD = {"active_users": 9, "active_users_14d": 9, "tickets_opened": 0, "urgent_tickets_open": 0}
BAD = {**GOOD, "urgent_tickets_open": 3}
SEEN = "looked at by a test"


@dataclass
class Eyes:
    """The service as one employee sees it."""

    health: Any
    metrics: Any
    alerts: Any

    async def get(self, customer_id: UUID) -> Any:
        return (await self.health.GetHealth(health_service_pb2.GetHealthRequest(customer_id=str(customer_id)))).health

    async def alerted(self, metadata: Any = None, **asked: Any) -> list[Any]:
        """The alerts on all pages."""
        found: list[Any] = []
        request = alerts_service_pb2.ListAlertsRequest(page_size=2, **asked)
        while True:
            answer = await self.alerts.ListAlerts(request, metadata=metadata)
            found += answer.alerts
            request.page_token = answer.next_page_token
            if not request.page_token:
                return found

    async def distribution(self) -> dict[int, int]:
        answer = await self.health.GetHealthDistribution(health_service_pb2.GetHealthDistributionRequest())
        return {one.status: one.customers for one in answer.distribution.counts}


def acknowledging(alert_id: str) -> Any:
    return alerts_service_pb2.AcknowledgeAlertRequest(request_id=str(new_id()), alert_id=alert_id)


async def eyes_of(services: RunningServices, person: Employee) -> Eyes:
    stubs = [health_service_pb2_grpc.HealthServiceStub, metrics_service_pb2_grpc.MetricsServiceStub,
             alerts_service_pb2_grpc.AlertsServiceStub]  # fmt: skip
    return Eyes(*[await stub_of(services, stub, person) for stub in stubs])


@pytest.fixture(scope="module")
async def health(services: RunningServices) -> Health:
    return await open_health(services)


@pytest.fixture(scope="module")
async def people(services: RunningServices, health: Health) -> list[Employee]:
    """Two who see what they own, and one who sees every customer."""
    return [await new_employee(services, role) for role in ("CSM", "CSM", "DATA_ANALYST")]


@pytest.fixture(scope="module")
async def fallen(services: RunningServices, health: Health, people: list[Employee]) -> list[UUID]:
    """Two customers of the first, one of the second and one of both, each with two weeks and an alert."""
    one, two, _ = (person.id for person in people)
    stub = await services.stub(alerts_service_pb2_grpc.AlertsServiceStub)
    order = alerts_service_pb2.CreateAlertSubscriptionRequest(
        request_id=str(new_id()), transition=alerts_pb2.Transition(any_fall=True)
    )
    subscription = (await stub.CreateAlertSubscription(order)).subscription
    made = [await health.customer(health.last.previous, GOOD, *owners) for owners in ([one], [one], [two], [one, two])]
    await health.new_run(health.last.previous)
    for customer_id in made:
        await health.figures(customer_id, health.last, BAD)
    raised = {alert.customer_id for alert in await health.raise_alerts(await health.new_run(health.last))}
    assert raised >= set(map(str, made))
    end = alerts_service_pb2.DeleteAlertSubscriptionRequest(request_id=str(new_id()), subscription_id=subscription.id)
    await stub.DeleteAlertSubscription(end)
    return made


async def test_health_history_and_usage_of_ones_own_customers_are_shown(
    services: RunningServices, people: list[Employee], fallen: list[UUID]
) -> None:
    for person in people:
        eyes = await eyes_of(services, person)
        assert (await eyes.get(fallen[3])).status == health_pb2.HEALTH_STATUS_AT_RISK
        history = health_service_pb2.ListHealthHistoryRequest(customer_id=str(fallen[3]))
        assert len((await eyes.health.ListHealthHistory(history)).weeks) == 2
        usage = metrics_service_pb2.GetUsageRequest(customer_id=str(fallen[3]))
        assert len((await eyes.metrics.GetUsage(usage)).days) >= 14


async def test_a_customer_out_of_scope_is_refused_in_the_words_for_an_unknown_one(
    services: RunningServices, people: list[Employee], fallen: list[UUID]
) -> None:
    eyes = await eyes_of(services, people[0])
    unknown = str(new_id())
    for rpc, request_class in (
        (eyes.health.GetHealth, health_service_pb2.GetHealthRequest),
        (eyes.health.ListHealthHistory, health_service_pb2.ListHealthHistoryRequest),
        (eyes.metrics.GetUsage, metrics_service_pb2.GetUsageRequest),
    ):
        hidden, missing = [await refused(rpc(request_class(customer_id=id_))) for id_ in (str(fallen[2]), unknown)]
        assert (hidden.code, hidden.reason) == ("NOT_FOUND", "CUSTOMER_NOT_FOUND")
        assert repr(hidden).replace(str(fallen[2]), unknown) == repr(missing)


async def test_alerts_are_listed_for_the_customers_in_scope(
    services: RunningServices, people: list[Employee], fallen: list[UUID]
) -> None:
    mine, theirs, everybody = [await eyes_of(services, person) for person in people]
    assert {alert.customer_id for alert in await mine.alerted()} == {str(fallen[place]) for place in (0, 1, 3)}
    assert {alert.customer_id for alert in await theirs.alerted(open_only=True)} == {str(fallen[2]), str(fallen[3])}
    assert await mine.alerted(customer_id=str(fallen[2])) == []
    assert len(await theirs.alerted(customer_id=str(fallen[2]))) == 1
    assert {alert.customer_id for alert in await everybody.alerted()} >= set(map(str, fallen))


async def test_an_alert_out_of_scope_is_acknowledged_as_little_as_an_unknown_one(
    services: RunningServices, people: list[Employee], fallen: list[UUID]
) -> None:
    mine, theirs, _ = [await eyes_of(services, person) for person in people]
    (alert,) = await theirs.alerted(customer_id=str(fallen[2]))
    unknown = str(new_id())
    hidden, missing = [await refused(mine.alerts.AcknowledgeAlert(acknowledging(id_))) for id_ in (alert.id, unknown)]
    assert (hidden.code, hidden.reason) == ("NOT_FOUND", "ALERT_NOT_FOUND")
    assert repr(hidden).replace(alert.id, unknown) == repr(missing)
    assert await theirs.alerted(customer_id=str(fallen[2])) == [alert]


async def test_the_audit_says_whose_alert_was_acknowledged(
    services: RunningServices, people: list[Employee], fallen: list[UUID]
) -> None:
    mine = await eyes_of(services, people[0])
    (alert,) = await mine.alerted(customer_id=str(fallen[3]))
    await mine.alerts.AcknowledgeAlert(acknowledging(alert.id))
    async with services.db("health").read() as read:
        rows = (await read.execute(select(audit).where(audit.c.object_id == alert.id))).all()
    assert [(row.actor, row.customer_id) for row in rows] == [(people[0].id, str(fallen[3]))]


async def test_a_repeat_is_not_answered_once_the_customer_left_the_scope(
    services: RunningServices, health: Health, people: list[Employee], fallen: list[UUID]
) -> None:
    mine = await eyes_of(services, people[0])
    (alert,) = await mine.alerted(customer_id=str(fallen[1]))
    order = acknowledging(alert.id)
    taken = (await mine.alerts.AcknowledgeAlert(order)).alert
    assert taken.acknowledged_by == people[0].id
    assert (await mine.alerts.AcknowledgeAlert(order)).alert == taken
    await health.owned(owned_by([], str(fallen[1]), version=2, seats=10))
    assert (await refused(mine.alerts.AcknowledgeAlert(order))).reason == "ALERT_NOT_FOUND"
    await health.owned(owned_by([people[0].id], str(fallen[1]), version=3, seats=10))


async def test_who_takes_a_customer_over_sees_the_alerts_that_nobody_acknowledged(
    services: RunningServices, health: Health, people: list[Employee], fallen: list[UUID]
) -> None:
    successor = await new_employee(services, "CSM")
    eyes = await eyes_of(services, successor)
    assert await eyes.alerted() == []
    await health.owned(owned_by([successor.id], str(fallen[0]), version=2, seats=10))
    (alert,) = await eyes.alerted(open_only=True)
    assert alert.customer_id == str(fallen[0])
    assert (await eyes.alerts.AcknowledgeAlert(acknowledging(alert.id))).alert.acknowledged_by == successor.id
    await health.owned(owned_by([people[0].id], str(fallen[0]), version=3, seats=10))


async def test_a_deputy_handles_the_alerts_of_the_absent_one_in_his_own_name(
    services: RunningServices, people: list[Employee], fallen: list[UUID]
) -> None:
    absent, deputy = people[1], await new_employee(services, "CSM")
    eyes, header = await eyes_of(services, deputy), acting_for(absent)
    assert await eyes.alerted() == []
    await tell_deputy(services, "health", absent.id, deputy.id)

    async def seen() -> list[Any]:
        await services.directory("health").look()
        return await eyes.alerted(metadata=header)

    alert = next(alert for alert in await eventually(seen) if alert.customer_id == str(fallen[2]))
    assert (await refused(eyes.alerts.AcknowledgeAlert(acknowledging(alert.id)))).reason == "ALERT_NOT_FOUND"
    taken = (await eyes.alerts.AcknowledgeAlert(acknowledging(alert.id), metadata=header)).alert
    assert taken.acknowledged_by == deputy.id


async def test_the_distribution_counts_exactly_the_customers_in_scope(
    services: RunningServices, health: Health, fallen: list[UUID]
) -> None:
    owner, everybody = await new_employee(services, "CSM"), await new_employee(services, "DATA_ANALYST")
    eyes = await eyes_of(services, owner)
    assert await eyes.distribution() == {}
    twice = owned_by([owner.id, owner.id], str(fallen[3]), version=2, seats=10)  # in two roles
    await health.owned(twice)
    await health.customer(health.last, None, owner.id)
    later = owned_by([owner.id], seats=10)
    later.owners[0].valid_from.CopyFrom(to_day(1))
    await health.owned(later)
    assert await eyes.distribution() == {
        health_pb2.HEALTH_STATUS_AT_RISK: 1, health_pb2.HEALTH_STATUS_NOT_COMPUTED: 1,
    }  # fmt: skip
    async with services.db("health").read(unscoped=SEEN) as read:
        total = (await read.execute(select(func.count()).select_from(customers))).scalar_one()
    assert sum((await (await eyes_of(services, everybody)).distribution()).values()) == total


async def test_a_customer_that_no_event_told_of_is_asked_for(services: RunningServices, health: Health) -> None:
    owner, key = await new_employee(services, "CSM"), f"K-{new_id()}"
    await bring(services, "ImportCustomers", [{"external_id": key, "name": "Acme"}])
    await bring(services, "ImportOwners", [{"customer_external_id": key, "role": "CSM", "login": owner.login}])

    async def known() -> Any:
        async with services.db("health").read(unscoped=SEEN) as read:
            query = select(customer_access.c.customer_id).where(customer_access.c.employee_id == UUID(owner.id))
            return (await read.execute(query)).scalar()

    customer_id = await eventually(known)
    async with services.db("health").transaction(actor="machine:test", unscoped="forgotten by a test") as write:
        await write.execute(delete(customers).where(customers.c.id == customer_id))
        await write.execute(delete(known_customers).where(known_customers.c.id == customer_id))
        await write.execute(delete(customer_access).where(customer_access.c.customer_id == customer_id))
    found = await (await eyes_of(services, owner)).get(customer_id)
    assert found.status == health_pb2.HEALTH_STATUS_NOT_COMPUTED


async def test_the_sums_of_a_run_are_for_those_alone_who_see_every_customer(
    services: RunningServices, health: Health, people: list[Employee]
) -> None:
    run = await health.new_run(health.last)
    asked = health_service_pb2.GetEvaluationRequest(run_id=run.run_id)
    answer = await refused((await eyes_of(services, people[0])).health.GetEvaluation(asked))
    assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "SCOPE_TOO_SMALL")
    assert (await (await eyes_of(services, people[2])).health.GetEvaluation(asked)).evaluation == run
