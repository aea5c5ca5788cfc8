"""Time as an argument: instants in UTC, business dates in the business time zone."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

Clock = Callable[[], datetime]
"""Answers the present instant, in UTC."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def business_date(instant: datetime, zone: ZoneInfo) -> date:
    """The business date on which `instant` falls."""
    return instant.astimezone(zone).date()


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of the business date `day`, in UTC."""
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def end_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which the business date `day` is over, in UTC: the first one of the next day."""
    return start_of_day(day + timedelta(days=1), zone)
