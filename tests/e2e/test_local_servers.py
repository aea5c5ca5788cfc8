"""What the embedded servers promise: nobody reaches another's database or speaks in another's name; nothing is lost."""

from collections.abc import AsyncIterator

import nats as nats_client
import psycopg
import pytest
import pytest_asyncio
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeout
from nats.js.api import StreamConfig

from tests.support.eventually import eventually
from tests.support.infrastructure import TestInfrastructure

STREAM = StreamConfig(name="PROMISES", subjects=["kejing.customers.promise.>", "kejing.tasks.promise.>"])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def infrastructure() -> AsyncIterator[TestInfrastructure]:
    """Servers of this module's own: one is killed, and the stream made here stands in the way of the product's."""
    running = TestInfrastructure()
    yield running
    await running.close()


async def test_a_role_cannot_connect_to_the_database_of_another(infrastructure: TestInfrastructure) -> None:
    async with infrastructure.new_database("customers", migrated=False) as url:
        me = url.replace("+psycopg", "").rsplit("/", 1)[0]
        for database in ("kejing_tasks", "postgres", "template1"):
            with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
                await psycopg.AsyncConnection.connect(f"{me}/{database}")


async def test_a_wrong_password_is_refused(infrastructure: TestInfrastructure) -> None:
    async with infrastructure.new_database("customers", migrated=False) as url:
        address = url.rsplit("@", 1)[1]
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            await psycopg.AsyncConnection.connect(f"postgresql://kejing_customers:guess@{address}")


async def test_chinese_text_has_trigrams_and_sorts_by_code_point(infrastructure: TestInfrastructure) -> None:
    async with infrastructure.new_database("customers", migrated=False) as url:
        connection = await psycopg.AsyncConnection.connect(url.replace("+psycopg", ""))
        async with connection:
            answer = await connection.execute(
                "select similarity('客景科技有限公司', '客景科技'), 'B' < 'a', lower('ÄЖ')"
            )
            similarity, by_code_point, lowered = (await answer.fetchall())[0]
    assert similarity > 0.3
    assert by_code_point
    assert lowered == "äж"


async def test_a_process_speaks_only_for_its_own_area(infrastructure: TestInfrastructure) -> None:
    refusals: list[str] = []

    async def note(error: Exception) -> None:
        refusals.append(str(error))

    client = await nats_client.connect(await infrastructure.nats_url("customers"), error_cb=note)
    try:
        stream = client.jetstream(timeout=1)
        await stream.add_stream(STREAM)
        await stream.publish("kejing.customers.promise.kept", b"1")
        with pytest.raises(NatsTimeout):
            await stream.publish("kejing.tasks.promise.kept", b"2")
        with pytest.raises(NatsTimeout):
            await stream.purge_stream("PROMISES")
        assert (await stream.stream_info("PROMISES")).state.messages >= 1
    finally:
        await client.close()
    assert any("kejing.tasks.promise.kept" in refusal for refusal in refusals)


async def test_an_acknowledged_message_survives_kill_9(infrastructure: TestInfrastructure) -> None:
    client = await nats_client.connect(await infrastructure.nats_url("customers"), max_reconnect_attempts=-1)
    try:
        stream = client.jetstream(timeout=2)
        await stream.add_stream(STREAM)
        before = await stream.publish("kejing.customers.promise.kept", b"3", headers={"Nats-Msg-Id": "survives"})
        await infrastructure.kill("nats")
        await infrastructure.restart("nats")

        async def again() -> bool:
            try:
                kept = await stream.get_msg("PROMISES", seq=before.seq)
            except (NatsError, OSError):
                return False
            return kept.data == b"3"

        assert await eventually(again)
    finally:
        await client.close()
