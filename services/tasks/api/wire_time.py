"""Instants and deadlines on the wire."""

from datetime import date, datetime, time

from google.protobuf.timestamp_pb2 import Timestamp

from kejing.tasks.v1 import task_pb2
from services.shared.errors import InvalidArgument
from services.shared.rpc.wire import from_date, put_timestamp
from services.tasks.domain.deadline import Deadline


def set_instant(stamp: Timestamp, instant: datetime | None) -> None:
    """Sets a message's field; None leaves it absent."""
    if instant is not None:
        put_timestamp(stamp, instant)


def to_deadline(field: str, deadline: task_pb2.Deadline) -> Deadline:
    """Raises InvalidArgument where date or time don't exist."""
    when = from_date(f"{field}.date", deadline.date)
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
