"""`kejing sign-in`, `sign-out`, `whoami`, `token`, `keys`, `audit` and `--for`, at homes with and without a key."""

import asyncio
import json
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.services import RunningServices
from tests.support.terminal import COMMAND, Terminal

NEW = "Sommer-Regen-7"


@pytest.fixture
async def owner(services: RunningServices) -> Terminal:
    """Whoever holds the installation's command key."""
    await services.start("identity", "customers", "tasks", "health", "revenue", "notifications")
    return Terminal(services)


@pytest.fixture
def person(services: RunningServices, owner: Terminal, tmp_path: Path) -> Terminal:
    """Somebody with a home of his own, which holds no key."""
    return Terminal(services, tmp_path / "home")


@pytest.fixture
async def newcomer(owner: Terminal) -> Callable[[], Awaitable[tuple[str, str]]]:
    """Makes an employee; answers login and first password."""

    async def make() -> tuple[str, str]:
        login = f"n{uuid.uuid4().hex[:8]}"
        await owner.answer("employee", "add", login)
        told = await owner.answer("employee", "password", login)
        return login, told.splitlines()[2].strip()

    return make


Newcomer = Callable[[], Awaitable[tuple[str, str]]]


async def signed_in(person: Terminal, newcomer: Newcomer) -> str:
    """The login of somebody who has chosen his password."""
    login, first = await newcomer()
    await person.answer("sign-in", login, typed=f"{first}\n{NEW}\n")
    return login


async def test_a_first_password_is_typed_unseen_and_changed_at_once(person: Terminal, newcomer: Newcomer) -> None:
    login, first = await newcomer()
    code, shown = await person.at_keyboard(
        "sign-in", login,
        typed=[("password of", first), ("new password: ", "weak"), ("the same again: ", "weak"),
               ("new password: ", NEW), ("the same again: ", "something else"),
               ("new password: ", NEW), ("the same again: ", NEW)],
    )  # fmt: skip
    assert code == 0, shown
    assert "at least 10 characters" in shown
    assert "two different ones" in shown
    assert f"signed in as {login}" in shown
    assert not {first, NEW, "weak"} & set(shown.split())
    assert json.loads(await person.answer("whoami", "--json"))["employee"]["login"] == login
    assert (person.home / "session.json").stat().st_mode & 0o077 == 0
    again, _ = await person.at_keyboard("sign-in", login, typed=[("password of", NEW)])
    assert again == 0


async def test_a_wrong_password_and_an_unknown_login_are_refused_alike(person: Terminal, newcomer: Newcomer) -> None:
    login, _ = await newcomer()
    refusals = [await person.refusal("sign-in", each, typed="Wrong-Words-1\n") for each in (login, f"x{login}")]
    assert refusals[0] == refusals[1]
    assert "SIGN_IN_REFUSED" in refusals[0]


async def test_who_never_signed_in_and_has_no_key_is_told_how(person: Terminal) -> None:
    assert "kejing sign-in LOGIN" in await person.refusal("whoami")


async def test_commands_at_the_same_time_spend_a_refresh_token_once(person: Terminal, newcomer: Newcomer) -> None:
    login = await signed_in(person, newcomer)
    file = person.home / "session.json"
    before = json.loads(file.read_text())
    file.write_text(json.dumps({**before, "expires_at": time.time() + 5}))
    told = await asyncio.gather(*(person.answer("token") for _ in range(4)))
    after = json.loads(file.read_text())
    assert set(told) == {f"{after['access_token']}\n"}
    assert after["refresh_token"] != before["refresh_token"]
    assert after["login"] == login

    file.write_text(json.dumps({**before, "expires_at": 0}))  # a token that was spent before
    assert f"the session of {login} has ended" in await person.refusal("token")


async def test_signing_out_ends_the_session_everywhere_it_was_copied_to(person: Terminal, newcomer: Newcomer) -> None:
    await signed_in(person, newcomer)
    token = (await person.answer("token")).strip()
    await person.answer("sign-out", "--everywhere")
    assert not (person.home / "session.json").exists()
    person.environment["KEJING_TOKEN"] = token

    async def refused() -> bool:
        return "SESSION_REVOKED" in (await person.run("whoami"))[2]

    await eventually(refused, within=5)
    del person.environment["KEJING_TOKEN"]
    assert "nobody is signed in" in await person.refusal("sign-out")


async def test_as_takes_the_key_and_not_the_session(owner: Terminal, newcomer: Newcomer) -> None:
    login, _ = await newcomer()
    assert (await owner.json("whoami", "--as", login))["employee"]["login"] == login
    assert (await owner.json("whoami"))["employee"]["login"] == "admin"


async def test_a_command_starts_by_itself_and_loads_nothing_of_databases(owner: Terminal) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-X", "importtime", *COMMAND[1:], "whoami", "--as", "admin", env=owner.environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    shown, loaded = await process.communicate()
    assert (process.returncode, b"admin" in shown) == (0, True), loaded
    assert b"grpc" in loaded
    assert not {name for name in (b"sqlalchemy", b"psycopg") if name in loaded}


async def test_signing_keys_are_rotated_while_tokens_hold(
    owner: Terminal, person: Terminal, newcomer: Newcomer
) -> None:
    await signed_in(person, newcomer)
    before = await person.answer("whoami")
    assert "signs from now on" in await owner.answer("keys", "rotate")
    assert await person.answer("whoami") == before
    assert "PERMISSION_MISSING" in await person.refusal("keys", "rotate")


async def test_what_a_deputy_does_is_in_the_audit_under_his_own_name(owner: Terminal, newcomer: Newcomer) -> None:
    (absent, _), (deputy, _) = await newcomer(), await newcomer()
    today = date.today()  # noqa: DTZ011 - a day on either side of the business date will do
    await owner.answer("deputy", "add", deputy, "--of", absent, "--from", str(today - timedelta(1)),
                       "--until", str(today + timedelta(3)))  # fmt: skip
    third, _ = await newcomer()
    await owner.answer(
        "--for",
        absent,
        "deputy",
        "add",
        third,
        "--from",
        str(today),
        "--until",
        str(today + timedelta(2)),
        "--as",
        deputy,
    )
    listed = await owner.answer("audit", "list", "--by", deputy, "--from", str(today - timedelta(1)))
    assert f"{deputy} for {absent}" in listed
    assert "CreateDeputy" in listed
    assert f"{deputy} for" not in await owner.answer("audit", "list", "--by", deputy, "--until", "2026-01-01")


async def test_the_audit_is_verified_for_every_service(owner: Terminal) -> None:
    shown = await owner.json("audit", "verify")
    assert {chain["service"] for chain in shown["chains"]} == {
        "identity", "customers", "tasks", "health", "revenue", "notifications"
    }  # fmt: skip
    assert all(chain["whole"] for chain in shown["chains"])


async def test_acting_for_somebody_who_named_nobody_is_refused(owner: Terminal, newcomer: Newcomer) -> None:
    (absent, _), (stranger, _) = await newcomer(), await newcomer()
    assert "NOT_A_DEPUTY" in await owner.refusal("--for", absent, "customers", "list", "--as", stranger)
    assert "there is no employee" in await owner.refusal("--for", "nobody-at-all", "whoami", "--as", stranger)
