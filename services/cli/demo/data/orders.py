"""What the demonstration's customers bought: two years of orders, of the kinds that a revenue centre meets."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

from services.cli.demo.data.customers import Customer, dice

PRODUCTS = ("客景标准版 Standard", "客景专业版 Professional", "客景企业版 Enterprise")


@dataclass(frozen=True)
class Order:
    """As kejing.revenue.v1.OrderRow: either `amount` or `monthly_price`; `end` is the last day, None: open-ended."""

    number: str
    customer_external_id: str
    product: str
    currency: str
    amount: Decimal | None
    monthly_price: Decimal | None
    signed: date
    start: date
    end: date | None
    counts_to_mrr: bool = True
    renews: str = ""


def orders(all_customers: list[Customer], this_month: date) -> list[Order]:
    """Every order of the customers, as of the month that begins with `this_month`; renewals after what they renew."""
    return [order for customer in all_customers for order in PLANS[customer.plan](customer, this_month)]


def _annual(customer: Customer, this_month: date) -> Iterator[Order]:
    """Two years, the second one renewing the first at a little more."""
    yield from _two_years(customer, this_month, Decimal("1.04"))


def _growing(customer: Customer, this_month: date) -> Iterator[Order]:
    yield from _two_years(customer, this_month, Decimal("1.35"))


def _shrinking(customer: Customer, this_month: date) -> Iterator[Order]:
    yield from _two_years(customer, this_month, Decimal("0.70"))


def _two_years(customer: Customer, this_month: date, growth: Decimal) -> Iterator[Order]:
    # Each ends in another one of the next 12 months.
    second = _first_of(this_month, customer.index * 5 % 12 - 11)
    first = _order(customer, 1, _first_of(second, -12), _day_before(second), _yearly(customer))
    yield first
    renewal = _order(customer, 2, second, _day_before(_first_of(second, 12)), _rounded(_yearly(customer) * growth))
    yield replace(renewal, renews=first.number)


def _multi_year(customer: Customer, this_month: date) -> Iterator[Order]:
    """Three years at once; the amount doesn't divide by 36."""
    start = _first_of(this_month, customer.index % 10 - 18) + timedelta(days=14)
    end = _first_of(start.replace(day=1), 36) + timedelta(days=13)
    yield _order(customer, 1, start, end, _yearly(customer) * 3 - Decimal("0.01"))


def _open_ended(customer: Customer, this_month: date) -> Iterator[Order]:
    """A year, then by the month without an end."""
    second = _first_of(this_month, customer.index % 9 - 10)
    first = _order(customer, 1, _first_of(second, -12), _day_before(second), _yearly(customer))
    yield first
    monthly = _rounded(_yearly(customer) / 12)
    yield replace(
        _order(customer, 2, second, None, Decimal(0)), amount=None, monthly_price=monthly, renews=first.number
    )


def _pilot(customer: Customer, this_month: date) -> Iterator[Order]:
    """100 days, which are no whole months, replaced early by a year."""
    pilot_start = _first_of(this_month, -9) + timedelta(days=8)
    pilot = _order(customer, 1, pilot_start, pilot_start + timedelta(days=99), _rounded(_yearly(customer) / 5))
    yield pilot
    start = _first_of(this_month, -6)
    year = _order(customer, 2, start, _day_before(_first_of(start, 12)), _yearly(customer))
    yield replace(year, renews=pilot.number)


def _training(customer: Customer, this_month: date) -> Iterator[Order]:
    """Two years, and a training that is paid once and doesn't recur."""
    yield from _two_years(customer, this_month, Decimal("1.10"))
    day = _first_of(this_month, -3) + timedelta(days=9)
    training = _order(customer, 3, day, day + timedelta(days=4), Decimal(18_000))
    yield replace(training, product="实施培训 Training", counts_to_mrr=False)


def _churned(customer: Customer, this_month: date) -> Iterator[Order]:
    """A year that ended one to five months ago, and nothing after it."""
    after = _first_of(this_month, -(customer.index // 15 % 5))
    yield _order(customer, 1, _first_of(after, -12), _day_before(after), _yearly(customer))


PLANS: dict[str, Callable[[Customer, date], Iterator[Order]]] = {
    "annual": _annual,
    "growing": _growing,
    "shrinking": _shrinking,
    "multi-year": _multi_year,
    "open-ended": _open_ended,
    "pilot": _pilot,
    "training": _training,
    "churned": _churned,
}


def _order(customer: Customer, n: int, start: date, end: date | None, amount: Decimal) -> Order:
    return Order(
        number=f"HT-{customer.external_id.removeprefix('CRM-')}-{n}",
        customer_external_id=customer.external_id,
        product=PRODUCTS[0 if customer.seats < 80 else 1 if customer.seats < 400 else 2],
        currency=customer.currency,
        amount=amount,
        monthly_price=None,
        signed=start - timedelta(days=dice("signed", customer.index, n).randint(3, 25)),
        start=start,
        end=end,
    )


def _yearly(customer: Customer) -> Decimal:
    """Price of a year in the customer's currency: by the seat, less for many of them."""
    a_seat = Decimal(dice("price", customer.index).choice((960, 1080, 1200)))
    if customer.seats >= 200:
        a_seat = a_seat * Decimal("0.85")
    return _rounded(a_seat * customer.seats / (1 if customer.currency == "CNY" else 7))


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"))


def _first_of(month: date, months: int) -> date:
    """The first day of the month that lies `months` after `month`."""
    year, index = divmod(month.year * 12 + month.month - 1 + months, 12)
    return date(year, index + 1, 1)


def _day_before(day: date) -> date:
    return day - timedelta(days=1)
