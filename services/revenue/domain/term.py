"""Terms of orders in calendar months. A term is given by its first and its last day, both included."""

from calendar import monthrange
from datetime import date, timedelta


def add_months(day: date, months: int) -> date:
    """`day` some calendar months on; a day that the month doesn't have becomes the month's last one."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def months_between(start: date, day: date) -> int:
    """Calendar months from `start`'s month to `day`'s month, whatever the days."""
    return (day.year - start.year) * 12 + day.month - start.month


def whole_months(start: date, end: date) -> int:
    """N where the day after `end` is `start` plus N months, N ≥ 1; 0 where the term isn't whole months.

    Such a term contains exactly N last days of months.
    """
    after = end + timedelta(days=1)
    months = months_between(start, after)
    return months if months >= 1 and add_months(start, months) == after else 0


def last_day_of(month: date) -> date:
    """The last day of the month that `month` lies in."""
    return month.replace(day=monthrange(month.year, month.month)[1])


def parse_month(text: str) -> date:
    """The first day of the month that is written YYYY-MM. Raises ValueError."""
    return date.fromisoformat(f"{text}-01")
