"""Signing in by an OpenID provider, which runs as a process of its own."""

import json
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey, RSAKey
from pydantic import SecretStr, ValidationError

from kejing.identity.v1 import employees_service_pb2 as employees_pb
from kejing.identity.v1 import sessions_service_pb2 as pb
from kejing.identity.v1.employees_service_pb2_grpc import EmployeesServiceStub
from services.identity.api.oidc_provider import verified_claims
from services.identity.settings import IdentitySettings
from tests.support.doors import Door, Person, bearer
from tests.support.eventually import eventually
from tests.support.infrastructure import TestInfrastructure
from tests.support.ports import free_port
from tests.support.refusals import refused
from tests.support.services import RunningServices

BACK = "https://crm.example.com/signed-in"


class Provider:
    """A running OpenID provider."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(self.port), "--require-nonce", "true"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        async def answers() -> bool:
            try:
                async with httpx.AsyncClient() as http:
                    return (await http.get(f"{self.url}/jwks")).status_code == 200
            except httpx.HTTPError:
                return False

        await eventually(answers, within=30)

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    async def knows(self, claims: dict[str, str]) -> str:
        """Adds a user; answers his subject."""
        subject = uuid.uuid4().hex
        async with httpx.AsyncClient() as http:
            (await http.put(f"{self.url}/users/{subject}", json=claims)).raise_for_status()
        return subject

    async def authorize(self, url: str, subject: str) -> dict[str, str]:
        """The user says yes in his browser; answers what it is sent back with."""
        async with httpx.AsyncClient() as http:
            answer = await http.post(url, data={"sub": subject})
        assert answer.status_code == 302
        assert answer.headers["location"].startswith(BACK)
        return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def provider() -> AsyncIterator[Provider]:
    running = Provider()
    await running.start()
    yield running
    running.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def services(infrastructure: TestInfrastructure, provider: Provider) -> AsyncIterator[RunningServices]:
    """An identity that knows the provider, on the database of all tests."""
    settings = {"oidc_issuer": provider.url, "oidc_client_id": "kejing", "oidc_client_secret": SecretStr("s"),
                "oidc_redirect_uris": (BACK,)}  # fmt: skip
    running = RunningServices(infrastructure, settings=settings)
    yield running
    await running.close()


@pytest.fixture
async def door(services: RunningServices) -> AsyncIterator[Door]:
    yield await Door.of(services)
    services.clock.shift = timedelta()


async def start(door: Door) -> Any:
    return await door.sessions.StartOidcSignIn(pb.StartOidcSignInRequest(redirect_uri=BACK))


async def came_back(door: Door, provider: Provider, claims: dict[str, str]) -> pb.SignInRequest:
    """What the browser brings once the provider has let the user in."""
    began = await start(door)
    answer = await provider.authorize(began.authorization_url, await provider.knows(claims))
    assert answer["state"] == began.state
    return pb.SignInRequest(oidc=pb.OidcAnswer(code=answer["code"], state=answer["state"]))


async def deactivate(door: Door, person: Person) -> None:
    request = employees_pb.DeactivateEmployeeRequest(
        request_id=str(uuid.uuid4()), employee_id=person.id, successor_id=(await door.person()).id
    )
    await door.employees.DeactivateEmployee(request)


async def test_whom_the_provider_vouches_for_is_signed_in(
    services: RunningServices, door: Door, provider: Provider
) -> None:
    person = await door.person()
    answer = await door.sessions.SignIn(await came_back(door, provider, {"preferred_username": person.login}))

    nobody = await services.stub(EmployeesServiceStub, "")
    me = await nobody.GetMe(employees_pb.GetMeRequest(), metadata=bearer(answer.access_token))
    assert me.employee.id == person.id
    assert (await door.refresh(answer.refresh_token)).access_token


async def test_the_browser_carries_pkce_state_and_nonce(door: Door, provider: Provider) -> None:
    began = await start(door)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(began.authorization_url).query).items()}
    assert began.authorization_url.startswith(provider.url)
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert asked["redirect_uri"] == BACK
    assert asked["state"] == began.state
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 32


async def test_an_answer_is_good_once(door: Door, provider: Provider) -> None:
    request = await came_back(door, provider, {"preferred_username": (await door.person()).login})
    await door.sessions.SignIn(request)
    assert (await refused(door.sessions.SignIn(request))).reason == "SIGN_IN_REFUSED"


async def test_an_answer_is_good_for_ten_minutes(services: RunningServices, door: Door, provider: Provider) -> None:
    request = await came_back(door, provider, {"preferred_username": (await door.person()).login})
    services.clock.shift = timedelta(minutes=10, seconds=1)
    assert (await refused(door.sessions.SignIn(request))).reason == "SIGN_IN_REFUSED"


async def test_the_code_of_one_sign_in_is_no_good_with_the_state_of_another(door: Door, provider: Provider) -> None:
    victim = await came_back(door, provider, {"preferred_username": (await door.person()).login})
    mixed = pb.OidcAnswer(code=victim.oidc.code, state=(await start(door)).state)
    answer = await refused(door.sessions.SignIn(pb.SignInRequest(oidc=mixed)))
    assert answer.reason == "SIGN_IN_REFUSED"


@pytest.mark.parametrize("login", ["ａdmin", "admin ", "adm\u0131n"], ids=ascii)
async def test_what_only_resembles_a_login_is_somebody_else(door: Door, provider: Provider, login: str) -> None:
    request = await came_back(door, provider, {"preferred_username": login})
    assert (await refused(door.sessions.SignIn(request))).reason == "SIGN_IN_REFUSED"


@pytest.mark.parametrize("claims", [{"preferred_username": "nobody-here"}, {"email": "admin"}, {}], ids=str)
async def test_who_is_no_employee_is_refused_whoever_vouches_for_him(
    door: Door, provider: Provider, claims: dict[str, str]
) -> None:
    request = await came_back(door, provider, claims)
    answer = await refused(door.sessions.SignIn(request))
    assert (answer.code, answer.reason) == ("UNAUTHENTICATED", "SIGN_IN_REFUSED")


async def test_who_has_left_is_refused_whoever_vouches_for_him(door: Door, provider: Provider) -> None:
    person = await door.person()
    request = await came_back(door, provider, {"preferred_username": person.login})
    await deactivate(door, person)
    assert (await refused(door.sessions.SignIn(request))).reason == "SIGN_IN_REFUSED"


async def test_new_keys_of_the_provider_are_taken_over(door: Door, provider: Provider) -> None:
    person = await door.person()
    await door.sessions.SignIn(await came_back(door, provider, {"preferred_username": person.login}))
    provider.stop()
    await provider.start()
    again = await came_back(door, provider, {"preferred_username": person.login})
    assert (await door.sessions.SignIn(again)).access_token


async def test_browsers_are_sent_back_to_registered_places_only(door: Door) -> None:
    elsewhere = pb.StartOidcSignInRequest(redirect_uri="https://evil.example.com/")
    answer = await refused(door.sessions.StartOidcSignIn(elsewhere))
    assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "REDIRECT_URI_NOT_ALLOWED")


async def test_without_a_provider_the_way_is_closed(infrastructure: TestInfrastructure) -> None:
    plain = RunningServices(infrastructure)
    door = await Door.of(plain)
    try:
        answer = await refused(start(door))
    finally:
        await plain.close()
    assert (answer.code, answer.reason) == ("FAILED_PRECONDITION", "OIDC_NOT_CONFIGURED")


async def test_a_provider_that_is_away_is_told_as_such(infrastructure: TestInfrastructure) -> None:
    settings = {"oidc_issuer": f"http://127.0.0.1:{free_port()}", "oidc_client_id": "kejing",
                "oidc_client_secret": SecretStr("s"), "oidc_redirect_uris": (BACK,)}  # fmt: skip
    lonely = RunningServices(infrastructure, settings=settings)
    try:
        answer = await refused(start(await Door.of(lonely)))
    finally:
        await lonely.close()
    assert (answer.code, answer.reason) == ("UNAVAILABLE", "OIDC_AWAY")


KEY, OTHER = (RSAKey.generate_key(2048, {"kid": kid}) for kid in ("k", "other"))
UNSIGNED = "eyJhbGciOiJub25lIn0"
"""{"alg":"none"}"""
ISSUER, CLIENT, NONCE = "https://id.example.com", "kejing", "n-1"


def id_token(key: Any = KEY, header: dict[str, str] | None = None, **changes: Any) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": CLIENT, "sub": "u", "nonce": NONCE, "iat": now, "exp": now + 60, **changes}
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": "RS256", "kid": "k", **(header or {})}, kept, key, algorithms=["RS256", "HS256", "none"])


def claims_of(token: str) -> Any:
    return verified_claims(token, KeySet([KEY]), ISSUER, CLIENT, NONCE)


def test_the_claims_of_a_good_id_token_are_believed() -> None:
    assert claims_of(id_token(preferred_username="zhang"))["preferred_username"] == "zhang"


@pytest.mark.parametrize(
    "token",
    [
        id_token(iss="https://other.example.com"),
        id_token(aud="another-client"),
        id_token(aud=[CLIENT, "another-client"]),
        id_token(nonce="n-2"),
        id_token(nonce=None),
        id_token(exp=int(time.time()) - 60),
        id_token(exp=None),
        id_token(OTHER),
        id_token(OTHER, {"kid": "other"}),
        id_token(OctKey.import_key("k" * 32), {"alg": "HS256"}),
        "nonsense",
        "",
    ],
)
def test_an_id_token_that_is_wrong_in_any_way_is_not(token: str) -> None:
    with pytest.raises((JoseError, ValueError)):
        claims_of(token)


def test_an_unsigned_id_token_is_not_believed() -> None:
    header, payload, _ = id_token().split(".")
    with pytest.raises((JoseError, ValueError)):
        claims_of(f"{UNSIGNED}.{payload}.")
    with pytest.raises((JoseError, ValueError)):
        claims_of(f"{header}.{payload}.")


@pytest.mark.parametrize(
    "settings",
    [
        {"oidc_issuer": "http://id.example.com"},
        {"oidc_issuer": "https://id.example.com", "oidc_client_id": "kejing"},
    ],
    ids=json.dumps,
)
def test_half_a_configuration_is_refused_at_the_start(settings: dict[str, str]) -> None:
    needed = {name: "x" for name, known in IdentitySettings.model_fields.items() if known.is_required()}
    with pytest.raises(ValidationError, match="KEJING_OIDC"):
        IdentitySettings(**{**needed, **settings})  # type: ignore[arg-type]
