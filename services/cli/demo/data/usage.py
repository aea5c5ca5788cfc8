"""What the demonstration's customers do in the product, day by day."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from services.cli.demo.data.customers import Customer, dice

DAYS = 35
"""As many as may be told late."""


@dataclass(frozen=True)
class Day:
    """One customer's figures of one day, as kejing.health.v1.UsageRow has them."""

    customer_external_id: str
    day: date
    active_users: int
    active_users_14d: int
    events: int
    errors: int
    seconds: int
    tickets_opened: int
    urgent_tickets_open: int

    @property
    def source_id(self) -> str:
        return f"{self.customer_external_id}/{self.day.isoformat()}"


def usage(all_customers: list[Customer], today: date) -> Iterator[Day]:
    """The figures of the `DAYS` days before `today`, customer by customer, oldest first."""
    last_sunday = today - timedelta(days=today.weekday() + 1)
    for customer in all_customers:
        if customer.shape == "silent":
            continue
        for back in range(DAYS - 1, 0, -1):
            day = today - timedelta(days=back)
            yield _day(customer, day, (day - last_sunday).days)


@dataclass(frozen=True)
class Living:
    """How a customer lives on a day: share of its seats active in 14 days, tickets of the day, urgent ones open."""

    share: float
    tickets: int = 0
    urgent: int = 0


def _declining(after: int) -> Living:
    """Excellent up to the week before the last one, then people stop coming."""
    if after <= -7:
        return Living(0.90)
    return Living(max(0.42, 0.90 - 0.07 * (after + 7)))


def _troubled(after: int) -> Living:
    """Fair, until urgent tickets stay open."""
    return Living(0.66, tickets=1 if after > -6 and after % 2 else 0, urgent=3 if after > -5 else 0)


SHAPES: dict[str, Callable[[int], Living]] = {
    "healthy": lambda after: Living(0.92, tickets=1 if after % 16 == 3 else 0),
    "middling": lambda after: Living(0.66, tickets=1 if after % 6 == 1 else 0),
    "declining": _declining,
    "troubled": _troubled,
    "recovering": lambda after: Living(0.62 if after <= -7 else min(0.90, 0.62 + 0.05 * (after + 7))),
    "dead": lambda after: Living(0.0),
}
"""By name: how a customer lives on the day that lies `after` days after the last Sunday (0 or less: before)."""


def _day(customer: Customer, day: date, after: int) -> Day:
    roll = dice("usage", customer.index, day)
    living = SHAPES[customer.shape](after)
    in_14_days = max(1, round(customer.seats * living.share)) if living.share else 0
    working = day.weekday() < 5
    active = round(in_14_days * roll.uniform(0.55, 0.85) if working else in_14_days * roll.uniform(0.0, 0.15))
    active = max(active, 1) if working and in_14_days else active
    events = active * roll.randint(40, 90)
    return Day(
        customer_external_id=customer.external_id,
        day=day,
        active_users=active,
        active_users_14d=in_14_days,
        events=events,
        errors=events * roll.randint(0, 8) // 1000,
        seconds=active * roll.randint(1200, 5400),
        tickets_opened=living.tickets,
        urgent_tickets_open=living.urgent,
    )
