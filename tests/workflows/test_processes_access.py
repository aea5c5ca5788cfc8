"""Every rpc of the process that runs workflows: nobody without a good token, nobody beyond his rights."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.support import access
from tests.support.access import Part
from tests.support.services import RunningServices
from workflows.main import Processes


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def part(services: RunningServices, processes: Processes) -> AsyncIterator[Part]:
    async with access.part_at("processes", services.address("processes")) as found:
        yield found


async def test_every_rpc_declares_who_may_call_it(part: Part) -> None:
    assert part.rpcs
    assert [rpc.path for rpc in part.rpcs if not rpc.declared or rpc.access.public] == []


async def test_a_call_without_a_good_token_is_refused(part: Part, services: RunningServices) -> None:
    await access.refuses_bad_tokens(part, await access.bad_tokens(services))


async def test_a_machine_calls_only_what_names_it(part: Part, services: RunningServices) -> None:
    await access.refuses_other_machines(part, await access.machine_tokens(services))


async def test_all_other_permissions_do_not_open_an_rpc(part: Part, services: RunningServices) -> None:
    needed = {rpc.access.permission for rpc in part.rpcs} - {0}
    await access.refuses_other_permissions(part, await access.tokens_without(services, sorted(needed)))


async def test_what_concerns_every_customer_is_not_for_a_smaller_scope(part: Part, services: RunningServices) -> None:
    await access.refuses_smaller_scope(part, await access.token_of_department(services))


async def test_a_session_that_ended_is_refused_by_every_rpc_within_five_seconds(
    part: Part, services: RunningServices
) -> None:
    await access.refuses_ended_session(part, services)
