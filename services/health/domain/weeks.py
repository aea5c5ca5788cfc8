"""ISO weeks as the evaluation knows them: a week ends when its Sunday is over in the business time zone."""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from services.shared.clock import business_date, end_of_day
from services.shared.errors import InvalidArgument

PATTERN = re.compile(r"(\d{4})-W(\d{2})")
EARLIEST_YEAR = 1990
"""Years before are slips of the keyboard."""


@dataclass(frozen=True, order=True)
class Week:
    """`monday`: the week's first day."""

    monday: date

    @classmethod
    def parse(cls, text: str, field: str) -> "Week":
        """The week written like "2026-W47". Raises InvalidArgument, naming `field`, where there is none."""
        match = PATTERN.fullmatch(text)
        try:
            if match and int(match[1]) >= EARLIEST_YEAR:
                return cls(date.fromisocalendar(int(match[1]), int(match[2]), 1))
        except ValueError:
            pass
        raise InvalidArgument(field, text, f"it must be an ISO week such as 2026-W47, not before {EARLIEST_YEAR}")

    @classmethod
    def of(cls, day: date) -> "Week":
        """The week in which `day` lies."""
        return cls(day - timedelta(days=day.weekday()))

    @classmethod
    def last_ended(cls, now: datetime, zone: ZoneInfo) -> "Week":
        """The latest week that is over at the instant `now`."""
        return cls.of(business_date(now, zone)).previous

    @property
    def sunday(self) -> date:
        return self.monday + timedelta(days=6)

    @property
    def previous(self) -> "Week":
        return Week(self.monday - timedelta(days=7))

    @property
    def next(self) -> "Week":
        return Week(self.monday + timedelta(days=7))

    def ended_at(self, zone: ZoneInfo) -> datetime:
        """The first instant after the week, in UTC."""
        return end_of_day(self.sunday, zone)

    def first_day(self, window_days: int) -> date:
        """The first day of a window of `window_days` days that ends with the week's Sunday."""
        return self.sunday - timedelta(days=window_days - 1)

    def __str__(self) -> str:
        year, number, _ = self.monday.isocalendar()
        return f"{year}-W{number:02}"


def unfinished(first: date | None, finished: set[Week], now: datetime, zone: ZoneInfo, limit: int) -> list[Week]:
    """The weeks that are over and not finished, oldest first.

    Args:
        first: the first day of which anything is known; None where nothing is.
        finished: weeks with a finished evaluation.
        now: the present instant.
        zone: the business time zone.
        limit: how many weeks back it is worth looking.
    """
    if first is None:
        return []
    last = Week.last_ended(now, zone)
    weeks = [Week(last.monday - timedelta(weeks=back)) for back in reversed(range(limit))]
    return [week for week in weeks if week >= Week.of(first) and week not in finished]
