"""Instants and deadlines on the wire."""

from datetime import UTC, date, datetime, time

from google.protobuf.timestamp_pb2 import Timestamp

from kejing.tasks.v1 import task_pb2
from services.shared.errors import InvalidArgument
from services.tasks.domain.deadline import Deadline


def to_instant(field: str, stamp: Timestamp) -> datetime:
    """The instant in UTC, to the microsecond. Raises InvalidArgument where it is none."""
    try:
        return stamp.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidArgument(field, stamp.seconds, "it must be an instant of the years 1 to 9999") from error


def set_instant(stamp: Timestamp, instant: datetime | None) -> None:
    """Sets a message's field; None leaves it absent."""
    if instant is not None:
        stamp.FromDatetime(instant)


def to_deadline(field: str, deadline: task_pb2.Deadline) -> Deadline:
    """Raises InvalidArgument where date or time don't exist."""
    day = deadline.date
    try:
        when = date(day.year, day.month, day.day)
    except (ValueError, OverflowError) as error:
        shown = f"{day.year}-{day.month}-{day.day}"
        raise InvalidArgument(f"{field}.date", shown, "it must be a whole date of the calendar") from error
    if not deadline.HasField("time"):
        return Deadline(when)
    at = deadline.time
    try:
        return Deadline(when, time(at.hours, at.minutes, at.seconds))
    except (ValueError, OverflowError) as error:
        shown = f"{at.hours}:{at.minutes}:{at.seconds}"
        raise InvalidArgument(f"{field}.time", shown, "it must be a time from 00:00:00 to 23:59:59") from error


def set_deadline(message: task_pb2.Deadline, day: date, at: time | None) -> None:
    """Sets a message's field."""
    message.date.year, message.date.month, message.date.day = day.year, day.month, day.day
    if at is not None:
        message.time.hours, message.time.minutes, message.time.seconds = at.hour, at.minute, at.second
        message.time.SetInParent()
