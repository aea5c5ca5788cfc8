"""The demonstration's 120 customers: invented companies and people, the same ones every time."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

COUNT = 120
SEED = 20260101


@dataclass(frozen=True)
class Contact:
    external_id: str
    name: str
    phone: str
    wechat_id: str
    post: str
    email: str


@dataclass(frozen=True)
class Customer:
    """`shape` is how the customer lives: see usage.SHAPES; `plan` how it buys: see orders.PLANS.

    `owners`: role → login.
    """

    index: int
    external_id: str
    name: str
    short_name: str
    industry: str
    region: str
    individual: bool
    size: str
    tier: str
    seats: int
    currency: str
    shape: str
    plan: str
    owners: dict[str, str]
    contacts: tuple[Contact, ...]


def dice(*key: object) -> random.Random:
    """Random numbers that are the same for the same key, on every machine and in every run."""
    return random.Random(f"{SEED} {key}")  # noqa: S311 - for data, not for secrets


def customers() -> list[Customer]:
    """All customers."""
    return [_customer(index, name) for index, name in enumerate([*_companies(), *_people()])]


@dataclass(frozen=True)
class _Name:
    full: str
    short: str
    industry: str
    region: str
    chinese: bool
    individual: bool = False


_CITIES = {"上海": "华东", "杭州": "华东", "苏州": "华东", "南京": "华东", "成都": "华西", "重庆": "华西", "西安": "华西"}
_STEMS = (
    "云杉 明湖 青川 海岳 星桥 锦屿 瑞禾 澄光 嘉木 恒泽 鸿渡 安澜 泰禾 长庚 思渊 凌汐 栖岚 望舒 "
    "沐阳 景澄 启珩 知远 朗清 砚池 千帆 拾光 初晴 远岫 听澜 若谷 丰穗 素问 北榆 南乔 蓝汀 石渠"
).split()
_TRADES = {
    "智能科技": "软件", "医疗器械": "医疗", "供应链": "物流", "教育科技": "教育", "新能源": "能源", "食品": "零售",
}  # fmt: skip
_ENGLISH_STEMS = (
    "Brightwater Copperleaf Larkspur Ironwood Silverpine Quayside Redfern Stonebrook Wexmoor Ashgrove Hollybank "
    "Tidewell Foxglove Kestrelby Marlwood Northgale Oakhaven Pebblecroft Ravenhill Saltmarsh Thornbury Umberfield "
    "Valecrest Willowmere Yarrowdale Birchfen Cloverlea Dunmere Elmstead Fernhurst Goldcroft Heathbrook Inglewick Juniperton"
).split()
_ENGLISH_TRADES = {
    "Robotics": "Manufacturing", "Logistics": "Logistics", "Analytics": "Software", "Health": "Healthcare",
    "Foods": "Retail", "Learning": "Education",
}  # fmt: skip
_LEGAL_FORMS = ("Ltd", "Inc", "GmbH")
_SURNAMES = "李王张刘陈杨黄赵吴周徐孙马朱胡林郭何高罗"
_GIVEN = "晓雯 志远 雨桐 建国 思源 佳怡 子涵 俊杰 美玲 天宇 欣然 浩然 海燕 文博 静怡 立新".split()
_ENGLISH_GIVEN = "Alice Ben Clara Daniel Eva Felix Hannah Isaac Julia Liam Nora Owen Petra Ruth Simon Tessa".split()
_ENGLISH_SURNAMES = "Archer Barlow Carter Dalton Everett Fletcher Garner Hobbs Irving Keller Lambert Norris".split()
_POSTS = ("采购总监", "IT 经理", "运营主管", "财务经理")
_ENGLISH_POSTS = ("Head of Operations", "IT Manager", "Purchasing", "Chief Financial Officer")


def _companies() -> Iterator[_Name]:
    """74 Chinese and 34 English companies, mixed."""
    cities, trades = list(_CITIES), list(_TRADES)
    chinese = []
    for n in range(74):
        city, stem, trade = cities[n % len(cities)], _STEMS[n % len(_STEMS)], trades[(n * 5 + n // 36) % len(trades)]
        chinese.append(_Name(f"{city}{stem}{trade}有限公司", f"{stem}{trade[:2]}", _TRADES[trade], _CITIES[city], True))
    english = []
    for n, stem in enumerate(_ENGLISH_STEMS):
        trade = list(_ENGLISH_TRADES)[n % len(_ENGLISH_TRADES)]
        form = _LEGAL_FORMS[n % len(_LEGAL_FORMS)]
        english.append(_Name(f"{stem} {trade} {form}", stem, _ENGLISH_TRADES[trade], "Overseas", False))
    for n, name in enumerate(chinese):
        yield name
        if n % 2 and n // 2 < len(english):
            yield english[n // 2]


def _people() -> Iterator[_Name]:
    """8 Chinese and 4 English individuals."""
    for n in range(8):
        person = f"{_SURNAMES[n * 2]}{_GIVEN[(n * 3) % len(_GIVEN)]}"
        yield _Name(person, "", "个人", ("华东", "华西")[n % 2], True, individual=True)
    for n in range(4):
        yield _Name(f"{_ENGLISH_GIVEN[n]} {_ENGLISH_SURNAMES[n]}", "", "Individual", "Overseas", False, individual=True)


_SHAPES = ("healthy",) * 9 + ("middling",) * 4 + ("declining",) * 3 + ("troubled", "recovering", "dead", "silent")
_PLANS = ("annual",) * 9 + ("growing",) * 4 + ("multi-year",) * 2 + ("open-ended",) * 2 + ("pilot", "shrinking", "training")


def _customer(index: int, name: _Name) -> Customer:
    roll = dice("customer", index)
    east = name.region == "华东"
    seats = roll.randint(1, 2) if name.individual else roll.choice((20, 30, 50, 80, 120, 200, 400, 800))
    churned = index % 15 == 7
    return Customer(
        index=index,
        external_id=f"CRM-{10001 + index}",
        name=name.full,
        short_name=name.short,
        industry=name.industry,
        region=name.region,
        individual=name.individual,
        size="" if name.individual else "50人以下" if seats < 50 else "50-500人" if seats < 200 else "500人以上",
        tier="strategic" if seats >= 400 else "growth" if seats >= 80 else "ordinary",
        seats=seats,
        currency="CNY" if name.chinese else "USD",
        shape="dead" if churned else _SHAPES[index % len(_SHAPES)],
        plan="churned" if churned else _PLANS[(index * 7) % len(_PLANS)],
        owners=_owners(index, east),
        contacts=tuple(_contact(index, n, name, roll) for n in range(1 if name.individual else roll.randint(1, 3))),
    )


def _owners(index: int, east: bool) -> dict[str, str]:
    owners = {
        "CSM": ("csm.li", "csm.wang")[index % 2] if east else ("csm.smith", "csm.zhao")[index % 2],
        "SALES_MANAGER": "sales.zhou" if east else "sales.jones",
    }
    if index % 3:
        owners["ANALYST"] = "analyst.sun" if east else "analyst.brown"
    return owners


def _contact(index: int, n: int, customer: _Name, roll: random.Random) -> Contact:
    external_id = f"P-{10001 + index}-{n + 1}"
    email = f"p{10001 + index}.{n + 1}@example.com"
    # No Beijing number begins with 0, and 7700 900 is kept for stories: nobody can be called by mistake.
    if customer.chinese:
        name = customer.full if customer.individual else roll.choice(_SURNAMES) + roll.choice(_GIVEN)
        return Contact(external_id, name, f"010-0000{index:03}{n}", f"wx_{index}_{n}", roll.choice(_POSTS), email)
    name = customer.full if customer.individual else f"{roll.choice(_ENGLISH_GIVEN)} {roll.choice(_ENGLISH_SURNAMES)}"
    return Contact(external_id, name, f"+44 7700 900{index % 1000:03}", "", roll.choice(_ENGLISH_POSTS), email)
