"""Dates, instants and decimals between Python and the wire."""

from datetime import UTC, date, datetime
from math import floor

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date

from services.shared.errors import InvalidArgument


def to_date(day: date | None) -> Date | None:
    """None stays None, which leaves a message's field absent."""
    return Date(year=day.year, month=day.month, day=day.day) if day else None


def from_date(field: str, day: Date) -> date:
    """Raises InvalidArgument, naming `field`, where there is no such day."""
    try:
        return date(day.year, day.month, day.day)
    except (ValueError, OverflowError) as error:
        shown = f"{day.year}-{day.month}-{day.day}"
        raise InvalidArgument(field, shown, "it must be a whole date of the calendar") from error


def to_timestamp(instant: datetime | None) -> Timestamp | None:
    """None stays None, which leaves a message's field absent."""
    if instant is None:
        return None
    stamp = Timestamp()
    put_timestamp(stamp, instant)
    return stamp


def put_timestamp(stamp: Timestamp, instant: datetime) -> None:
    """Sets `stamp` to an instant with a zone, faster than by its FromDatetime."""
    stamp.seconds = floor(instant.timestamp())
    stamp.nanos = instant.microsecond * 1000


def from_timestamp(field: str, stamp: Timestamp) -> datetime:
    """The instant in UTC, to the microsecond. Raises InvalidArgument, naming `field`, where it is none."""
    try:
        return stamp.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidArgument(field, stamp.seconds, "it must be an instant of the years 1 to 9999") from error
