"""Follow-ups and themes by gRPC, and what other services tell of customers and employees."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import select

from kejing.customers.v1 import customer_pb2
from kejing.customers.v1.customers_service_pb2_grpc import CustomersServiceStub
from kejing.customers.v1.events_pb2 import CustomerFacts, CustomersChanged
from kejing.tasks.v1 import follow_ups_service_pb2 as pb
from kejing.tasks.v1 import tasks_service_pb2, themes_service_pb2
from services.shared.access.tables import employees
from services.shared.clock import utc_now
from services.shared.ids import new_id
from services.tasks.storage.tables import customers
from tests.support.eventually import eventually
from tests.support.refusals import refused
from tests.support.services import RunningServices
from tests.support.tasks import Team, make_team, rid


@pytest.fixture(scope="module")
async def team(services: RunningServices) -> Team:
    return await make_team(services)


def at(ago: timedelta) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(utc_now() - ago)
    return stamp


def interaction(customer_id: str, **changes: Any) -> pb.CreateFollowUpRequest:
    values: dict[str, Any] = {
        "request_id": rid(), "customer_id": customer_id, "theme_key": "training", "channel": pb.CHANNEL_VISIT,
        "content": "They understood.", "customer_feedback": "Good", "next_step": "Ask again",
    }  # fmt: skip
    return pb.CreateFollowUpRequest(**{**values, **changes})


async def test_a_follow_up_may_lie_in_the_past_and_keeps_when_it_was_entered(team: Team) -> None:
    request = interaction(await team.customer(), occurred_at=at(timedelta(days=9)))
    made = (await team.csm.follow_ups.CreateFollowUp(request)).follow_up
    assert (await team.csm.follow_ups.CreateFollowUp(request)).follow_up == made
    assert (made.author_id, made.channel, made.task_id) == (team.csm.id, pb.CHANNEL_VISIT, "")
    assert made.recorded_at.seconds - made.occurred_at.seconds >= 9 * 86400
    read = await team.colleague.follow_ups.GetFollowUp(pb.GetFollowUpRequest(follow_up_id=made.id))
    assert read.follow_up == made


async def test_a_wrong_follow_up_is_refused(team: Team) -> None:
    customer = await team.customer()
    future = interaction(customer, occurred_at=at(-timedelta(hours=1)))
    refusal = await refused(team.csm.follow_ups.CreateFollowUp(future))
    assert (refusal.code, refusal.reason, refusal.fields) == (
        "INVALID_ARGUMENT", "OCCURRED_IN_FUTURE", ("occurred_at",),
    )  # fmt: skip
    task = await team.task()
    for changes, reason in (
        ({"task_id": task.id}, "TASK_OF_OTHER_CUSTOMER"),
        ({"task_id": str(new_id())}, "TASK_NOT_FOUND"),
        ({"theme_key": "weather"}, "THEME_NOT_FOUND"),
        ({"channel": 0}, "INVALID_FIELD"),
    ):
        call = team.csm.follow_ups.CreateFollowUp(interaction(customer, **changes))
        assert (await refused(call)).reason == reason
    alone = team.machine.follow_ups.CreateFollowUp(interaction(customer))
    assert (await refused(alone)).reason == "MACHINE_NOT_ALLOWED"
    unknown = pb.GetFollowUpRequest(follow_up_id=str(new_id()))
    assert (await refused(team.csm.follow_ups.GetFollowUp(unknown))).reason == "FOLLOW_UP_NOT_FOUND"
    listed = await team.csm.follow_ups.ListFollowUps(pb.ListFollowUpsRequest(customer_id=customer))
    assert not listed.follow_ups


async def test_follow_ups_are_listed_latest_first_in_pages(team: Team) -> None:
    customer = await team.customer()
    for days in (3, 1, 2):
        await team.csm.follow_ups.CreateFollowUp(interaction(customer, occurred_at=at(timedelta(days=days))))
    await team.colleague.follow_ups.CreateFollowUp(interaction(customer, theme_key="value"))
    request = pb.ListFollowUpsRequest(customer_id=customer, author_id=team.csm.id, page_size=2)
    first = await team.csm.follow_ups.ListFollowUps(request)
    request.page_token = first.next_page_token
    second = await team.csm.follow_ups.ListFollowUps(request)
    times = [each.occurred_at.seconds for each in (*first.follow_ups, *second.follow_ups)]
    assert len(times) == 3
    assert times == sorted(times, reverse=True)
    assert not second.next_page_token
    by_theme = pb.ListFollowUpsRequest(customer_id=customer, theme_key="value")
    assert len((await team.csm.follow_ups.ListFollowUps(by_theme)).follow_ups) == 1


async def test_themes_are_there_and_can_be_added_changed_and_withdrawn(team: Team) -> None:
    listed = (await team.csm.themes.ListThemes(themes_service_pb2.ListThemesRequest())).themes
    names = {theme.key: theme.name for theme in listed}
    assert names.items() >= {"delivery": "实施交付", "renewal": "续约续费"}.items()
    key = f"t-{rid()[-12:]}"
    create = themes_service_pb2.CreateThemeRequest(request_id=rid(), key=key, name="回访", color="#0a0b0c")
    made = (await team.manager.themes.CreateTheme(create)).theme
    assert made.active
    assert (await team.manager.themes.CreateTheme(create)).theme == made
    create.request_id = rid()
    assert (await refused(team.manager.themes.CreateTheme(create))).reason == "THEME_EXISTS"
    update = themes_service_pb2.UpdateThemeRequest(request_id=rid(), key=key, name="回访", color="#ffffff")
    assert not (await team.manager.themes.UpdateTheme(update)).theme.active
    refusal = await refused(team.csm.tasks.CreateTask(team.new_task(await team.customer(), theme_key=key)))
    assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "THEME_INACTIVE")
    update = themes_service_pb2.UpdateThemeRequest(request_id=rid(), key="no-such", name="x", color="#ffffff")
    assert (await refused(team.manager.themes.UpdateTheme(update))).reason == "THEME_NOT_FOUND"


async def test_an_assignee_of_whom_no_event_told_is_asked_for(team: Team, services: RunningServices) -> None:
    new = await team.employee("new")
    customer = await team.customer(owners={"CSM": team.csm.id, "ANALYST": new.id})
    async with services.db("tasks").transaction(actor="machine:test") as write:
        await write.execute(employees.delete().where(employees.c.id == UUID(new.id)))
    assert (await team.task(customer, assignee_id=new.id)).assignee_id == new.id


async def test_facts_of_customers_arrive_by_event_and_only_newer_ones_count(
    team: Team, services: RunningServices
) -> None:
    await services.stub(CustomersServiceStub)
    company, person = str(new_id()), str(new_id())

    def facts(customer_id: str, version: int, **values: Any) -> CustomerFacts:
        return CustomerFacts(id=customer_id, number=f"CUS{customer_id}", version=version, **values)

    async with services.db("customers").transaction(actor="machine:test") as write:
        write.emit(CustomersChanged(customers=[
            facts(company, 2, name="ACME Inc.", short_name="ACME", kind=customer_pb2.CUSTOMER_KIND_ENTERPRISE),
            facts(person, 1, kind=customer_pb2.CUSTOMER_KIND_INDIVIDUAL),
        ]))  # fmt: skip
        write.emit(CustomersChanged(customers=[facts(company, 1, name="Old", short_name="Old")]))
        last = str(new_id())
        write.emit(CustomersChanged(customers=[facts(last, 1, name="Last")]))

    async def labels() -> dict[str, str]:
        async with services.db("tasks").read(unscoped="what was told of all") as read:
            ids = [UUID(each) for each in (company, person, last)]
            rows = (await read.execute(select(customers.c.id, customers.c.label).where(customers.c.id.in_(ids)))).all()
        return {str(row.id): row.label for row in rows} if len(rows) == 3 else {}

    assert await eventually(labels) == {company: "ACME", person: f"CUS{person}", last: "Last"}


async def test_while_customers_is_down_an_unknown_customer_is_unavailable(
    team: Team, services: RunningServices
) -> None:
    await services.start("customers")
    await services.stop("customers")
    try:
        refusal = await refused(team.csm.tasks.CreateTask(team.new_task(str(new_id()))))
        assert (refusal.code, refusal.reason) == ("UNAVAILABLE", "CUSTOMER_UNCONFIRMED")
        assert (await team.task()).id
    finally:
        await services.start("customers")
    listed = await team.csm.tasks.ListTasks(tasks_service_pb2.ListTasksRequest(page_size=1))
    assert len(listed.tasks) == 1
