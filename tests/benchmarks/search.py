"""Looking customers up among a million, beside the bare SQL of one way to find them."""

import random
from collections.abc import Iterator
from typing import Any

import psycopg

from services.customers.domain.search import Findable, findable, fold, text_tokens
from services.customers.storage.search import search
from services.customers.storage.tables import metadata
from services.shared.access import EVERYTHING
from services.shared.clock import utc_now
from services.shared.db import Database
from tests.benchmarks.measure import percentile, print_table, timed

PLACES = ["北京", "上海", "重庆", "深圳", "杭州", "成都", "武汉", "西安", "南京", "天津"]
WORDS = "华信达通天地明星云海东方长城中大新金山水电子力科学安国际贸易建设勤桥银河远景宏图"
KINDS = ["科技有限公司", "贸易有限公司", "实业集团", "服饰厂", "餐饮管理有限公司"]
QUERIES = {
    "two characters": "勤桥",
    "one character": "宏",
    "what most of them hold": "有限公司",
    "a beginning": "重庆银河",
    "pinyin": "qinqiaokeji",
    "initials": "cqyh",
    "beginning of a number": "CUS20261122077",
    "nothing": "壹贰",
}
ROUNDS = 20
BOUND = "at most 3 times, or 5 ms more"
BARE = "select id, name from customer_search where tokens @> %s and position(%s in name) > 0 limit 20"
INDEXES = {
    "name": "(is_contact, name)",
    "short_name": "(short_name) where short_name <> ''",
    "pinyin": "(is_contact, pinyin) where pinyin <> ''",
    "token": "using gin (tokens)",
}


def names() -> Iterator[str]:
    """Names of enterprises as they are common, the same ones each time."""
    chosen = random.Random(7)
    while True:
        middle = "".join(chosen.choice(WORDS) for _ in range(2))
        yield chosen.choice(PLACES) + middle + chosen.choice(KINDS)


def fill(connection: psycopg.Connection[Any], customers: list[tuple[Any, str]]) -> None:
    """What customers (id, number) are found by, as the service writes it; each name is read once."""
    for index in INDEXES:
        connection.execute(f"drop index customer_search_by_{index}")
    known: dict[str, Findable] = {}
    columns = "id, customer_id, is_contact, name, short_name, codes, pinyin, initials, tokens"
    with connection.cursor().copy(f"copy customer_search ({columns}) from stdin") as copy:
        for (id_, number), name in zip(customers, names(), strict=False):
            found = known.get(name) or known.setdefault(name, findable(name))
            copy.write_row((id_, id_, False, found.text, "", fold(number), found.pinyin, found.initials,
                            sorted(found.tokens)))  # fmt: skip
    for index, what in INDEXES.items():
        connection.execute(f"create index customer_search_by_{index} on customer_search {what}")
    connection.execute("vacuum analyze customer_search")


async def run(url: str) -> None:
    """`url`: of a database of customers, which aren't found by anything yet."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        fill(connection, connection.execute("select id, number from customers").fetchall())
    db = Database(url, utc_now, metadata)
    try:
        await measure(db, url)
    finally:
        await db.close()


async def measure(db: Database, url: str) -> None:
    rows = []
    async with await psycopg.AsyncConnection.connect(url.replace("+psycopg", ""), autocommit=True) as bare:
        for what, typed in QUERIES.items():

            async def ours(typed: str = typed) -> int:
                async with db.read() as read:
                    return len(await search(read, EVERYTHING, typed, 20))

            async def theirs(typed: str = typed) -> None:
                await (await bare.execute(BARE, [text_tokens(fold(typed)), fold(typed)])).fetchall()

            found = await ours()
            await theirs()
            took: tuple[list[float], list[float]] = ([], [])
            for _ in range(ROUNDS):
                took[0].append(await timed(ours))
                took[1].append(await timed(theirs))
            mine, its = (percentile(each, 0.95) for each in took)
            rows.append([what, typed, str(found), f"{mine:.1f} ms", f"{its:.1f} ms"])
    print_table(f"Search ({BOUND})", ["what", "typed", "hits", "p95", "bare SQL p95"], rows)
