"""Customers are found by what one remembers of them: names, numbers, pinyin, contacts."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete

from kejing.customers.v1 import customers_service_pb2 as pb
from kejing.customers.v1.customers_service_pb2_grpc import CustomersServiceStub
from services.customers.storage.fact_tables import customer_search
from tests.support.customers import bring, by_external_id, colleague, fresh, own
from tests.support.eventually import eventually
from tests.support.services import RunningServices

NUMBER, NAME = pb.SEARCH_MATCH_NUMBER, pb.SEARCH_MATCH_NAME
PINYIN, CONTACT = pb.SEARCH_MATCH_PINYIN, pb.SEARCH_MATCH_CONTACT
NAMES = {
    "bridge": ("重庆勤桥科技有限公司", "勤桥"),
    "bank": ("上海浦东发展银行", "浦发"),
    "latin": ("ＡＣＭＥ Rockets", ""),
    "other": ("北京勤桥人家餐饮", ""),
}


@pytest.fixture(scope="module")
async def keys(services: RunningServices) -> dict[str, str]:
    """External ids of customers, by what they are here; the first one has a contact 单雄信."""
    mark = fresh("Find")
    rows = [{"external_id": f"{mark}-{key}", "name": name, "short_name": short} for key, (name, short) in NAMES.items()]
    await bring(services, "ImportCustomers", rows)
    await bring(services, "ImportContacts", [
        {"customer_external_id": f"{mark}-bridge", "external_id": "1", "name": "单雄信"}
    ])  # fmt: skip
    found = {key: f"{mark}-{key}" for key in NAMES}

    async def taken_up() -> bool:
        shown = await hits(services, "单雄信")
        return found["bridge"] in shown and found["other"] in await hits(services, found["other"])

    await eventually(taken_up)
    return found


async def hits(services: RunningServices, text: str, caller: str = "employee:admin", **more: Any) -> dict[str, int]:
    """How each customer that is found matches, by external id, in the order of the answer."""
    stub = await services.stub(CustomersServiceStub, caller)
    answer = await stub.SearchCustomers(pb.SearchCustomersRequest(text=text, limit=100, **more))
    return {hit.customer.external_id: hit.match for hit in answer.hits}


@pytest.mark.parametrize(
    ("text", "key", "match"),
    [
        ("重庆勤桥", "bridge", NAME),
        ("勤桥", "bridge", NAME),
        ("桥科", "bridge", NAME),
        ("庆", "bridge", NAME),
        ("浦", "bank", NAME),
        ("科技有限公司", "bridge", NAME),
        ("chongqing", "bridge", PINYIN),
        ("Chong Qing Qin", "bridge", PINYIN),
        ("qinqiaokeji", "bridge", PINYIN),
        ("cqqq", "bridge", PINYIN),
        ("qqkj", "bridge", PINYIN),
        ("yinhang", "bank", PINYIN),
        ("pf", "bank", PINYIN),
        ("acme", "latin", NAME),
        ("ACME ROCK", "latin", NAME),
        ("ａｃｍｅ", "latin", NAME),
        ("ocke", "latin", NAME),
        ("单雄信", "bridge", CONTACT),
        ("雄信", "bridge", CONTACT),
        ("shanxiong", "bridge", CONTACT),
        ("sxx", "bridge", CONTACT),
    ],
)
async def test_a_customer_is_found_by(
    services: RunningServices, keys: dict[str, str], text: str, key: str, match: int
) -> None:
    assert (await hits(services, text)).get(keys[key]) == match


async def test_a_number_and_an_external_id_are_found_whole_by_their_beginning_and_by_their_end(
    services: RunningServices, keys: dict[str, str]
) -> None:
    customer = await by_external_id(services, keys["bank"])
    for text in (customer.number, customer.number.lower(), customer.external_id, customer.external_id.upper()):
        assert next(iter(await hits(services, text))) == keys["bank"]
    for text in (keys["bank"][:-1], keys["bank"][5:], customer.number[-4:]):
        assert (await hits(services, text)).get(keys["bank"]) == NUMBER


async def test_the_beginning_of_a_name_ranks_above_its_middle(services: RunningServices) -> None:
    word, mark = fresh("w"), fresh("Rank")
    names = {"middle": f"Great {word} of all", "beginning": f"{word} company", "exact": word}
    await bring(services, "ImportCustomers", [{"external_id": f"{mark}-{k}", "name": n} for k, n in names.items()])

    async def ranked() -> bool:
        return list(await hits(services, word)) == [f"{mark}-{key}" for key in ("exact", "beginning", "middle")]

    assert await eventually(ranked)


async def test_a_changed_name_is_found_and_the_former_one_is_not(services: RunningServices) -> None:
    key, before, after = fresh("Change"), fresh("before"), fresh("after")
    await bring(services, "ImportCustomers", [{"external_id": key, "name": before}])

    async def found_by(name: str) -> bool:
        return key in await hits(services, name)

    assert await eventually(lambda: found_by(before))
    await bring(services, "ImportCustomers", [{"external_id": key, "name": after}])
    assert await eventually(lambda: found_by(after))
    assert not await found_by(before)


async def test_each_sees_what_is_in_his_scope(services: RunningServices, keys: dict[str, str]) -> None:
    owner, other = await colleague(services), await colleague(services)
    await own(services, keys["bridge"], owner.login)
    for text in ("勤桥", "qinqiao", "cqqq", "单雄信", keys["bridge"]):
        assert list(await hits(services, text, f"employee:{owner.login}")) == [keys["bridge"]]
        assert await hits(services, text, f"employee:{other.login}") == {}


async def test_many_that_match_are_cut_at_the_limit(services: RunningServices) -> None:
    word, mark = fresh("many"), fresh("Many")
    rows = [{"external_id": f"{mark}-{n}", "name": f"{word} {n}"} for n in range(30)]
    await bring(services, "ImportCustomers", rows)
    stub = await services.stub(CustomersServiceStub)

    async def all_found() -> bool:
        return len(await hits(services, word)) == 30

    assert await eventually(all_found)
    assert len((await stub.SearchCustomers(pb.SearchCustomersRequest(text=word))).hits) == 20
    assert len((await stub.SearchCustomers(pb.SearchCustomersRequest(text=word, limit=3))).hits) == 3


@pytest.mark.parametrize("text", [" ", "%", "\\", "'", "_%_", "a'b", "\u3000", "😀", "( | & !", "qzx" * 33])
async def test_anything_may_be_typed(services: RunningServices, keys: dict[str, str], text: str) -> None:
    assert keys["bridge"] not in await hits(services, text)


async def test_whom_no_event_told_of_is_taken_up_when_the_service_starts(services: RunningServices) -> None:
    key = fresh("Former")
    await bring(services, "ImportCustomers", [{"external_id": key, "name": key}])

    async def found() -> bool:
        return key in await hits(services, key[5:])  # its tail, which tokens alone find

    assert await eventually(found)
    customer_id = UUID((await by_external_id(services, key)).id)
    async with services.db("customers").transaction(actor="machine:test", unscoped="a test") as write:
        await write.execute(delete(customer_search).where(customer_search.c.customer_id == customer_id))
    assert not await found()
    await services.stop("customers")
    await services.start("customers")
    assert await eventually(found)
