"""Invented names of companies and people."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Name:
    """A customer's name, and what follows from it. Individuals have no short name."""

    full: str
    short: str
    industry: str
    region: str
    chinese: bool
    individual: bool = False


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


CITIES = {
    "上海": "华东",
    "杭州": "华东",
    "苏州": "华东",
    "南京": "华东",
    "成都": "华西",
    "重庆": "华西",
    "西安": "华西",
}
STEMS = _words("""
    云杉 明湖 青川 海岳 星桥 锦屿 瑞禾 澄光 嘉木 恒泽 鸿渡 安澜 泰禾 长庚 思渊 凌汐 栖岚 望舒
    沐阳 景澄 启珩 知远 朗清 砚池 千帆 拾光 初晴 远岫 听澜 若谷 丰穗 素问 北榆 南乔 蓝汀 石渠
""")
TRADES = {
    "智能科技": "软件", "医疗器械": "医疗", "供应链": "物流", "教育科技": "教育", "新能源": "能源", "食品": "零售",
}  # fmt: skip
ENGLISH_STEMS = _words("""
    Brightwater Copperleaf Larkspur Ironwood Silverpine Quayside Redfern Stonebrook Wexmoor Ashgrove Hollybank Tidewell
    Foxglove Kestrelby Marlwood Northgale Oakhaven Pebblecroft Ravenhill Saltmarsh Thornbury Umberfield Valecrest
    Willowmere Yarrowdale Birchfen Cloverlea Dunmere Elmstead Fernhurst Goldcroft Heathbrook Inglewick Juniperton
""")
ENGLISH_TRADES = {
    "Robotics": "Manufacturing", "Logistics": "Logistics", "Analytics": "Software", "Health": "Healthcare",
    "Foods": "Retail", "Learning": "Education",
}  # fmt: skip
LEGAL_FORMS = ("Ltd", "Inc", "GmbH")
SURNAMES = "李王张刘陈杨黄赵吴周徐孙马朱胡林郭何高罗"
GIVEN = _words("晓雯 志远 雨桐 建国 思源 佳怡 子涵 俊杰 美玲 天宇 欣然 浩然 海燕 文博 静怡 立新")
ENGLISH_GIVEN = _words("Alice Ben Clara Daniel Eva Felix Hannah Isaac Julia Liam Nora Owen Petra Ruth Simon Tessa")
ENGLISH_SURNAMES = _words("Archer Barlow Carter Dalton Everett Fletcher Garner Hobbs Irving Keller Lambert Norris")
POSTS = ("采购总监", "IT 经理", "运营主管", "财务经理")
ENGLISH_POSTS = ("Head of Operations", "IT Manager", "Purchasing", "Chief Financial Officer")


def companies() -> Iterator[Name]:
    """74 Chinese and 34 English companies, mixed."""
    for n, name in enumerate(_chinese_companies()):
        yield name
        if n % 2 and n // 2 < len(ENGLISH_STEMS):
            yield _english_company(n // 2)


def people() -> Iterator[Name]:
    """8 Chinese and 4 English individuals."""
    for n in range(8):
        person = f"{SURNAMES[n * 2]}{GIVEN[(n * 3) % len(GIVEN)]}"
        yield Name(person, "", "个人", ("华东", "华西")[n % 2], chinese=True, individual=True)
    for n in range(4):
        person = f"{ENGLISH_GIVEN[n]} {ENGLISH_SURNAMES[n]}"
        yield Name(person, "", "Individual", "Overseas", chinese=False, individual=True)


def _chinese_companies() -> Iterator[Name]:
    cities, trades = list(CITIES), list(TRADES)
    for n in range(74):
        city, stem, trade = cities[n % len(cities)], STEMS[n % len(STEMS)], trades[(n * 5 + n // 36) % len(trades)]
        yield Name(f"{city}{stem}{trade}有限公司", f"{stem}{trade[:2]}", TRADES[trade], CITIES[city], chinese=True)


def _english_company(n: int) -> Name:
    stem, trade = ENGLISH_STEMS[n], list(ENGLISH_TRADES)[n % len(ENGLISH_TRADES)]
    form = LEGAL_FORMS[n % len(LEGAL_FORMS)]
    return Name(f"{stem} {trade} {form}", stem, ENGLISH_TRADES[trade], "Overseas", chinese=False)
