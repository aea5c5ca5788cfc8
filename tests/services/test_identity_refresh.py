"""Refresh tokens: exchanged once, and what happens to those that aren't."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from services.shared.clock import utc_now
from tests.support.doors import Door, session_of
from tests.support.refusals import refused
from tests.support.services import RunningServices


@pytest.fixture
async def door(services: RunningServices) -> AsyncIterator[Door]:
    yield await Door.of(services)
    services.clock.shift = timedelta()


async def test_a_refresh_token_is_exchanged_for_the_next_one(door: Door) -> None:
    first = await door.command("admin")
    second = await door.refresh(first.refresh_token)
    third = await door.refresh(second.refresh_token)

    assert session_of(first.access_token) == session_of(third.access_token)
    assert len({first.refresh_token, second.refresh_token, third.refresh_token}) == 3


async def test_a_refresh_token_used_again_ends_the_session_for_everybody(door: Door) -> None:
    first = await door.command("admin")
    second = await door.refresh(first.refresh_token)

    stolen = await refused(door.refresh(first.refresh_token))
    assert (stolen.code, stolen.reason) == ("UNAUTHENTICATED", "REFRESH_REFUSED")
    assert (await refused(door.refresh(second.refresh_token))).reason == "REFRESH_REFUSED"


async def test_that_a_stolen_token_ended_a_session_is_told(services: RunningServices, door: Door) -> None:
    first = await door.command("admin")
    await door.refresh(first.refresh_token)
    await refused(door.refresh(first.refresh_token))

    session = session_of(first.access_token)
    async with services.db("identity").read() as read:
        told = (await read.execute(text("select event from kit.outbox where subject = "
                                        "'kejing.identity.sessions.revoked'"))).scalars()  # fmt: skip
        assert any(session.encode() in bytes(event) for event in told)
        noted = await read.execute(text("select change from kit.audit where change ->> 'session' = :session "
                                        "and method like '%RefreshToken'"), {"session": session})  # fmt: skip
        assert "used twice" in noted.scalar_one()["outcome"]


async def test_of_two_who_refresh_at_once_one_at_most_stays_signed_in(door: Door) -> None:
    first = await door.command("admin")
    answers = await asyncio.gather(*(door.refresh(first.refresh_token) for _ in range(5)), return_exceptions=True)
    fresh = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert len(fresh) == 1
    assert (await refused(door.refresh(fresh[0].refresh_token))).reason == "REFRESH_REFUSED"


async def test_a_refresh_token_expires_after_twelve_hours(services: RunningServices, door: Door) -> None:
    first = await door.command("admin")
    services.clock.set(utc_now() + timedelta(hours=12, seconds=1))
    assert (await refused(door.refresh(first.refresh_token))).reason == "REFRESH_REFUSED"


async def test_no_session_lives_longer_than_thirty_days(services: RunningServices, door: Door) -> None:
    began, answer = utc_now(), await door.command("admin")
    for hours in range(11, 30 * 24, 11):
        services.clock.set(began + timedelta(hours=hours))
        answer = await door.refresh(answer.refresh_token)
    services.clock.set(began + timedelta(days=30, minutes=1))
    assert (await refused(door.refresh(answer.refresh_token))).reason == "REFRESH_REFUSED"


async def test_an_unknown_refresh_token_is_refused(door: Door) -> None:
    assert (await refused(door.refresh("x"))).reason == "REFRESH_REFUSED"


async def test_what_expired_is_forgotten_by_and_by(services: RunningServices, door: Door) -> None:
    old = session_of((await door.command("admin")).access_token)
    services.clock.set(utc_now() + timedelta(hours=14))
    await door.command("admin")
    async with services.db("identity").read() as read:
        left = text("select (select count(*) from sessions where id = cast(:old as uuid)) + "
                    "(select count(*) from refresh_tokens where session_id = cast(:old as uuid))")  # fmt: skip
        assert (await read.execute(left, {"old": old})).scalar() == 0
