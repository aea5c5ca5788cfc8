"""Every rpc of every service, as their reflection lists them: nobody without a good token, nobody beyond his rights."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support import access
from tests.support.access import Part
from tests.support.services import RunningServices

PARTS = ("identity", "customers", "tasks", "health", "revenue", "notifications")
ELSEWHERE = {"kejing.processes.v1.ProcessesService"}
"""Walked where the process that serves it runs."""


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=PARTS)
async def part(request: pytest.FixtureRequest, services: RunningServices) -> AsyncIterator[Part]:
    await services.start(request.param)
    async with access.part_at(request.param, services.address(request.param)) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def bad_tokens(services: RunningServices) -> dict[str, str]:
    await services.start("identity")
    return await access.bad_tokens(services)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def without(services: RunningServices) -> dict[int, str]:
    return await access.tokens_without(services, access.PERMISSIONS)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def of_department(services: RunningServices) -> str:
    return await access.token_of_department(services)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def machines(services: RunningServices) -> dict[str, str]:
    return await access.machine_tokens(services)


async def test_every_contract_is_served_somewhere(services: RunningServices) -> None:
    served: set[str] = set()
    await services.start(*PARTS)
    for name in PARTS:
        async with access.part_at(name, services.address(name)) as part:
            served |= {rpc.method.containing_service.full_name for rpc in part.rpcs}
    assert access.contracts() - served == ELSEWHERE


async def test_every_rpc_declares_who_may_call_it(part: Part) -> None:
    assert part.rpcs
    assert [rpc.path for rpc in part.rpcs if not rpc.declared] == []


async def test_only_signing_in_and_keys_are_for_everybody(part: Part) -> None:
    public = {rpc.method.name for rpc in part.rpcs if rpc.access.public}
    signing_in = {"SignIn", "ChangePassword", "StartOidcSignIn", "RefreshToken", "GetPublicKeys"}
    assert public == (signing_in if part.name == "identity" else set())


async def test_a_call_without_a_good_token_is_refused(part: Part, bad_tokens: dict[str, str]) -> None:
    await access.refuses_bad_tokens(part, bad_tokens)


async def test_a_machine_calls_only_what_names_it(part: Part, machines: dict[str, str]) -> None:
    await access.refuses_other_machines(part, machines)


async def test_an_employee_may_not_call_what_is_for_machines(part: Part, services: RunningServices) -> None:
    await access.refuses_employees(part, await services.sign_in("employee:admin"))


async def test_all_other_permissions_do_not_open_an_rpc(part: Part, without: dict[int, str]) -> None:
    await access.refuses_other_permissions(part, without)


async def test_what_concerns_every_customer_is_not_for_a_smaller_scope(part: Part, of_department: str) -> None:
    await access.refuses_smaller_scope(part, of_department)


async def test_a_session_that_ended_is_refused_by_every_rpc_within_five_seconds(
    part: Part, services: RunningServices
) -> None:
    await access.refuses_ended_session(part, services)
