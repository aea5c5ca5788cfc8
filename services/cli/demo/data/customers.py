"""The demonstration's 120 customers: invented companies and people, the same ones every time."""

import random
from dataclasses import dataclass

from services.cli.demo.data.names import (
    ENGLISH_GIVEN,
    ENGLISH_POSTS,
    ENGLISH_SURNAMES,
    GIVEN,
    POSTS,
    SURNAMES,
    Name,
    companies,
    people,
)

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
    return [_customer(index, name) for index, name in enumerate([*companies(), *people()])]


_SHAPES = ("healthy",) * 9 + ("middling",) * 4 + ("declining",) * 3 + ("troubled", "recovering", "dead", "silent")
_PLANS = (
    ("annual",) * 9 + ("growing",) * 4 + ("multi-year",) * 2 + ("open-ended",) * 2 + ("pilot", "shrinking", "training")
)


def _customer(index: int, name: Name) -> Customer:
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


def _contact(index: int, n: int, customer: Name, roll: random.Random) -> Contact:
    external_id = f"P-{10001 + index}-{n + 1}"
    email = f"p{10001 + index}.{n + 1}@example.com"
    # No Beijing number begins with 0, and 7700 900 is kept for stories: nobody can be called by mistake.
    if customer.chinese:
        name = customer.full if customer.individual else roll.choice(SURNAMES) + roll.choice(GIVEN)
        return Contact(external_id, name, f"010-0000{index:03}{n}", f"wx_{index}_{n}", roll.choice(POSTS), email)
    name = customer.full if customer.individual else f"{roll.choice(ENGLISH_GIVEN)} {roll.choice(ENGLISH_SURNAMES)}"
    return Contact(external_id, name, f"+44 7700 900{index % 1000:03}", "", roll.choice(ENGLISH_POSTS), email)
