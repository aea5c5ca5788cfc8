"""Deadlines: a business date with an optional time, the instant that it means, and how it may move."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from services.shared.clock import end_of_day
from services.shared.errors import InvalidArgument

FARTHEST = timedelta(days=3653)
"""A deadline more than ten years ahead is a typing error."""


@dataclass(frozen=True)
class Deadline:
    """A date of the business time zone; without `at` the end of that day is meant."""

    day: date
    at: time | None = None

    def instant(self, zone: ZoneInfo) -> datetime:
        """The instant at which the deadline has passed, in UTC."""
        if self.at is None:
            return end_of_day(self.day, zone)
        return datetime.combine(self.day, self.at, zone).astimezone(UTC)

    def __str__(self) -> str:
        return self.day.isoformat() if self.at is None else f"{self.day} {self.at:%H:%M:%S}"


def new_deadline(deadline: Deadline, zone: ZoneInfo, now: datetime) -> datetime:
    """The instant of a deadline that is set now.

    Raises InvalidArgument: DEADLINE_PASSED unless it lies ahead, INVALID_FIELD where it is over ten years ahead.
    """
    if deadline.day > now.date() + FARTHEST:
        raise InvalidArgument("deadline", str(deadline), "it must lie within the next ten years")
    # The day first: the first days of the calendar have no instant in UTC.
    if deadline.day < now.date() - timedelta(days=1) or (instant := deadline.instant(zone)) <= now:
        raise InvalidArgument("deadline", str(deadline), "it must be later than now", reason="DEADLINE_PASSED")
    return instant


def moved_deadline(deadline: Deadline, present: datetime, zone: ZoneInfo, now: datetime) -> datetime:
    """The instant of a deadline to which the `present` one moves.

    Raises InvalidArgument: as new_deadline, and DEADLINE_NOT_LATER unless it is later than the present one.
    """
    instant = new_deadline(deadline, zone, now)
    if instant <= present:
        raise InvalidArgument(
            "deadline", str(deadline), "it must be later than the present deadline", reason="DEADLINE_NOT_LATER"
        )
    return instant
