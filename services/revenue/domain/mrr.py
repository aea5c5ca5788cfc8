"""Monthly recurring revenue, in one place for a reader. storage/mrr.sql says the same for many orders at once.

A month counts an order when the month's last day lies in the term (the convention of Kill Bill, Recurly and Planhat).
A term of N whole months contains exactly N of them, so its amount divides over them without a special case for the
first and last month; the cents that don't divide go to the first months (largest remainder, all remainders being
equal). Other terms count by their days, 30.4375 to a month (365.25 ÷ 12).
"""

from datetime import date
from decimal import Decimal

from services.revenue.domain.currency import from_minor, to_minor
from services.revenue.domain.term import last_day_of, months_between, whole_months


def month_figure(
    *,
    month: date,
    term_start: date,
    term_end: date | None,
    last_day: date | None,
    currency: str,
    amount: Decimal | None,
    monthly_price: Decimal | None,
) -> Decimal:
    """What an order counts in the month that `month` lies in, in the currency's major unit, exact to its minor unit.

    `term_end` is the end that the order was priced for, `last_day` the one it counts to (see order.last_day), both
    included and None for open-ended. One of `amount` (for the whole term, needs `term_end`) and `monthly_price` is
    given.
    """
    snapshot = last_day_of(month)
    if snapshot < term_start or (last_day is not None and snapshot > last_day):
        return Decimal(0)
    if monthly_price is not None:
        return monthly_price
    if amount is None or term_end is None:
        raise ValueError("an order has a monthly price, or an amount and an end")
    minor = to_minor(amount, currency)
    months = whole_months(term_start, term_end)
    if months:
        share, odd = divmod(minor, months)
        return from_minor(share + (months_between(term_start, month) < odd), currency)
    # minor ÷ (days ÷ 30.4375) in whole numbers, half a minor unit rounded up
    numerator, denominator = minor * 304_375, ((term_end - term_start).days + 1) * 10_000
    return from_minor((2 * numerator + denominator) // (2 * denominator), currency)
