"""Signing in by password: first ones, changed ones, guessed ones."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from argon2 import PasswordHasher
from sqlalchemy import text

from kejing.identity.v1 import employees_service_pb2 as employees_pb
from kejing.identity.v1.employees_service_pb2_grpc import EmployeesServiceStub
from services.shared.clock import utc_now
from tests.support.doors import GOOD, Door, bearer
from tests.support.infrastructure import TestInfrastructure
from tests.support.refusals import Refused, refused
from tests.support.services import MovableClock, RunningServices

OTHER = "Battery-Staple-8"


class StillClock(MovableClock):
    """Stands, so that no delay is over before the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.stands_at = utc_now()

    def __call__(self) -> datetime:
        return self.stands_at + self.shift


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def services(infrastructure: TestInfrastructure) -> AsyncIterator[RunningServices]:
    """An identity with a clock of its own, on the database of all tests."""
    running = RunningServices(infrastructure, StillClock())
    yield running
    await running.close()


@pytest.fixture
async def door(services: RunningServices) -> Door:
    services.clock.shift += timedelta(seconds=1)
    return await Door.of(services)


async def rows(services: RunningServices, query: str, **values: Any) -> list[Any]:
    async with services.db("identity").read() as read:
        return list((await read.execute(text(query), values)).all())


async def guess(door: Door, login: str, times: int) -> list[Refused]:
    return [await refused(door.sign_in(login, f"Wrong-{number}-Password")) for number in range(times)]


async def test_the_first_password_only_serves_to_set_another_one(door: Door) -> None:
    person = await door.person()
    first = await door.temporary(person)

    at_first = await refused(door.sign_in(person.login, first))
    assert (at_first.code, at_first.reason) == ("FAILED_PRECONDITION", "PASSWORD_MUST_BE_CHANGED")
    changed = await door.change(person.login, first, GOOD)
    assert changed.refresh_token
    assert (await door.sign_in(person.login)).access_token
    assert (await refused(door.sign_in(person.login, first))).reason == "SIGN_IN_REFUSED"


async def test_only_who_knows_the_password_learns_that_it_must_be_changed(door: Door) -> None:
    person = await door.person()
    await door.temporary(person)
    assert (await refused(door.sign_in(person.login, "Something-Else-9"))).reason == "SIGN_IN_REFUSED"


async def test_a_login_is_known_in_upper_and_lower_case(door: Door) -> None:
    person = await door.person_with_password()
    assert (await door.sign_in(person.login.upper())).access_token


async def test_a_password_is_the_same_whichever_keyboard_typed_it(door: Door) -> None:
    person = await door.person_with_password(password="Café-Ｃorrect-7")
    assert (await door.sign_in(person.login, "Cafe\u0301-Correct-7")).access_token


async def test_nothing_tells_a_login_that_exists_from_one_that_does_not(door: Door) -> None:
    known, without = await door.person_with_password(), await door.person()
    answers = [
        (await guess(door, login, 6)) for login in (known.login, without.login, f"nobody-{uuid.uuid4().hex[:8]}")
    ]
    assert answers[0] == answers[1] == answers[2]
    assert [answer.reason for answer in answers[0]] == ["SIGN_IN_REFUSED"] * 4 + ["SIGN_IN_DELAYED"] * 2


async def test_guessing_slows_down_even_for_the_right_password(services: RunningServices, door: Door) -> None:
    person = await door.person_with_password()
    await guess(door, person.login, 4)

    delayed = await refused(door.sign_in(person.login))
    assert (delayed.code, delayed.reason) == ("UNAUTHENTICATED", "SIGN_IN_DELAYED")
    assert delayed.metadata["retry_after_seconds"] == "1"
    assert (await refused(door.change(person.login, GOOD, OTHER))).reason == "SIGN_IN_DELAYED"


async def test_the_delay_doubles_with_every_further_failure(services: RunningServices, door: Door) -> None:
    person = await door.person_with_password()
    await guess(door, person.login, 4)
    waits = []
    for _ in range(12):
        delayed = await refused(door.sign_in(person.login))
        waits.append(int(delayed.metadata["retry_after_seconds"]))
        services.clock.shift += timedelta(seconds=waits[-1])
        await guess(door, person.login, 1)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


async def test_success_forgets_the_failures(services: RunningServices, door: Door) -> None:
    person = await door.person_with_password()
    await guess(door, person.login, 3)
    await door.sign_in(person.login)
    assert [answer.reason for answer in await guess(door, person.login, 4)] == ["SIGN_IN_REFUSED"] * 4


async def test_guesses_at_the_same_time_do_not_get_around_the_delay(door: Door) -> None:
    person = await door.person_with_password()
    answers = await asyncio.gather(*(refused(door.sign_in(person.login, f"Wrong-{n}-Password")) for n in range(12)))
    looked_at = [answer for answer in answers if answer.reason == "SIGN_IN_REFUSED"]
    assert len(looked_at) == 4


async def test_failures_of_long_ago_are_forgotten(services: RunningServices, door: Door) -> None:
    person = await door.person_with_password()
    await guess(door, person.login, 4)
    services.clock.shift += timedelta(days=1, minutes=1)
    await guess(door, "somebody-else", 1)
    found = await rows(services, "select 1 from failed_sign_ins where login_hash = sha256(cast(:login as bytea))",
                       login=person.login.encode())  # fmt: skip
    assert found == []


@pytest.mark.parametrize("weak", ["Short-1a", "no-upper-case-1", "NO-LOWER-CASE-1", "No-Digit-Here", "NoSymbol123"])
async def test_a_weak_new_password_is_refused_by_what_it_lacks(door: Door, weak: str) -> None:
    person = await door.person_with_password()
    answer = await refused(door.change(person.login, GOOD, weak))
    assert (answer.code, answer.reason, answer.fields) == ("INVALID_ARGUMENT", "PASSWORD_TOO_WEAK", ("new_password",))
    assert weak not in answer.message
    assert (await door.sign_in(person.login)).access_token


async def test_a_new_password_must_be_new(door: Door) -> None:
    person = await door.person_with_password()
    assert (await refused(door.change(person.login, GOOD, GOOD))).reason == "PASSWORD_NOT_NEW"


async def test_a_password_is_changed_only_by_who_knows_it(door: Door) -> None:
    person = await door.person_with_password()
    assert (await refused(door.change(person.login, OTHER, "Yet-Another-1"))).reason == "SIGN_IN_REFUSED"


async def test_a_changed_password_ends_all_other_sessions(services: RunningServices, door: Door) -> None:
    person = await door.person_with_password()
    before = await door.sign_in(person.login)
    after = await door.change(person.login, GOOD, OTHER)

    assert (await refused(door.refresh(before.refresh_token))).reason == "REFRESH_REFUSED"
    nobody = await services.stub(EmployeesServiceStub, "")
    me = await nobody.GetMe(employees_pb.GetMeRequest(), metadata=bearer(after.access_token))
    assert me.employee.id == person.id


async def test_a_password_given_anew_ends_the_sessions_and_the_delay(door: Door) -> None:
    person = await door.person_with_password()
    before = await door.sign_in(person.login)
    await guess(door, person.login, 4)
    given = await door.temporary(person)

    assert (await refused(door.refresh(before.refresh_token))).reason == "REFRESH_REFUSED"
    assert (await refused(door.sign_in(person.login, given))).reason == "PASSWORD_MUST_BE_CHANGED"


async def test_a_first_password_is_given_once(door: Door) -> None:
    person = await door.person()
    first = employees_pb.ResetPasswordRequest(employee_id=person.id, only_first=True)
    await door.employees.ResetPassword(first)
    again = await refused(door.employees.ResetPassword(first))
    assert (again.code, again.reason) == ("FAILED_PRECONDITION", "PASSWORD_SET")


async def test_nobody_unknown_gets_a_password(door: Door) -> None:
    unknown = employees_pb.ResetPasswordRequest(employee_id=str(uuid.uuid4()))
    answer = await refused(door.employees.ResetPassword(unknown))
    assert (answer.code, answer.reason) == ("NOT_FOUND", "EMPLOYEE_NOT_FOUND")


async def test_only_hashes_are_stored_and_old_ones_are_made_anew(services: RunningServices, door: Door) -> None:
    person = await door.person_with_password()
    of_person = "select hash from passwords where employee_id = cast(:id as uuid)"
    [[stored]] = await rows(services, of_person, id=person.id)
    assert stored.startswith("$argon2id$")
    assert GOOD not in stored

    cheap = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(GOOD)
    async with services.db("identity").transaction(actor="test") as write:
        change = text("update passwords set hash = :hash where employee_id = cast(:id as uuid)")
        await write.execute(change, {"hash": cheap, "id": person.id})
    await door.sign_in(person.login)
    [[renewed]] = await rows(services, of_person, id=person.id)
    assert renewed.split("$")[:4] == stored.split("$")[:4]


AUDIT = ("select actor, object_id, means, change, personal, person from kit.audit "
         "where method like '%SessionsService/SignIn' and occurred_at = :since order by position")  # fmt: skip


async def test_every_sign_in_is_in_the_audit_by_what_it_was_proven(services: RunningServices, door: Door) -> None:
    person, since = await door.person_with_password(), services.clock()
    await door.sign_in(person.login)
    await door.command(person.login)

    mine = [row for row in await rows(services, AUDIT, since=since) if row.object_id == person.id]
    assert [(row.actor, row.means, row.change["outcome"]) for row in mine] == [
        (person.id, "password", "signed in"),
        (person.id, "command", "signed in"),
    ]


async def test_refused_sign_ins_are_in_the_audit_without_what_was_typed(services: RunningServices, door: Door) -> None:
    person, since = await door.person_with_password(), services.clock()
    await guess(door, person.login, 5)
    await guess(door, "My-Secret-Password-1", 1)

    found = await rows(services, AUDIT, since=since)
    mine = [row.change["outcome"] for row in found if row.object_id == person.id]
    assert mine == ["SIGN_IN_REFUSED"] * 4 + ["SIGN_IN_DELAYED"]
    unknown = [row for row in found if not row.object_id and row.means == "password"]
    assert [row.change["outcome"] for row in unknown] == ["SIGN_IN_REFUSED"]
    for row in found:
        assert row.personal is None
        assert "secret" not in str(row.change).lower()
        assert person.login not in str(row.change)


async def test_no_password_is_kept_anywhere_but_as_a_hash(services: RunningServices, door: Door) -> None:
    person = await door.person()
    given, mine = await door.temporary(person), f"Very-Own-{uuid.uuid4().hex}-1"
    await door.change(person.login, given, mine)
    await door.sign_in(person.login, mine)
    for table in ("passwords", "kit.audit", "kit.outbox", "kit.requests", "failed_sign_ins", "sessions"):
        kept = " ".join(str(row) for row in await rows(services, f"select * from {table}"))
        assert given not in kept
        assert mine not in kept
