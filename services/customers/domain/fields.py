"""What a cell of an imported file may hold, field by field. Only these fields are kept (collection standard)."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

ISO_DATE = "%Y-%m-%d"
EARLIEST, LATEST = date(1900, 1, 1), date(2999, 12, 31)
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
PHONE = re.compile(r"\+?[0-9()\-./ ]{3,40}")


class BadValue(ValueError):
    """A cell holds what its field must not hold; the message says what is allowed."""


Value = str | int | None
"""As it is stored: texts, whole numbers, dates as YYYY-MM-DD, None for an empty cell."""


@dataclass(frozen=True)
class Field:
    """A field that a mapping may name. `read(text, date_format)` gives the value of a cell that isn't empty.

    `key`: part of what identifies a row; keys are required as well.
    """

    name: str
    read: Callable[[str, str], Value]
    required: bool = False
    key: bool = False


def text(longest: int) -> Callable[[str, str], Value]:
    def read(cell: str, _format: str) -> Value:
        if len(cell) > longest:
            raise BadValue(f"it may have at most {longest} characters, and has {len(cell)}")
        if UNPRINTABLE.search(cell):
            raise BadValue("it holds a control character")
        return cell

    return read


def pattern(rule: re.Pattern[str], longest: int, meaning: str) -> Callable[[str, str], Value]:
    checked = text(longest)

    def read(cell: str, date_format: str) -> Value:
        if not rule.fullmatch(cell):
            raise BadValue(f"it must be {meaning}")
        return checked(cell, date_format)

    return read


def one_of(words: Sequence[str]) -> Callable[[str, str], Value]:
    def read(cell: str, _format: str) -> Value:
        if cell not in words:
            raise BadValue(f"it must be one of {', '.join(words)}")
        return cell

    return read


def whole_number(largest: int) -> Callable[[str, str], Value]:
    def read(cell: str, _format: str) -> Value:
        if not (cell.isascii() and cell.isdigit() and len(cell) < 16 and int(cell) <= largest):
            raise BadValue(f"it must be a whole number from 0 to {largest}")
        return int(cell)

    return read


def day(cell: str, date_format: str) -> Value:
    try:
        value = datetime.strptime(cell, date_format).date()  # noqa: DTZ007 - a date has no time zone
    except ValueError:
        raise BadValue(f"it must be a date written as {date_format}") from None
    if not EARLIEST <= value <= LATEST:
        raise BadValue(f"it must lie between {EARLIEST} and {LATEST}")
    return value.isoformat()


def is_date_format(date_format: str) -> bool:
    """Whether a date that is written in this way can be read again, whole."""
    sample = date(2024, 3, 25)
    try:
        written = sample.strftime(date_format)
        return datetime.strptime(written, date_format).date() == sample  # noqa: DTZ007
    except (ValueError, re.error):  # strptime makes an expression of it, which can't name one part twice
        return False


def by_name(*fields: Field) -> Mapping[str, Field]:
    return {field.name: field for field in fields}


CUSTOMER = by_name(
    Field("external_id", text(100), required=True, key=True),
    Field("name", text(200), required=True),
    Field("short_name", text(100)),
    Field("industry", text(100)),
    Field("region", text(100)),
    Field("kind", one_of(["ENTERPRISE", "INDIVIDUAL"])),
    Field("size", text(100)),
    Field("value_tier", text(100)),
    Field("seats", whole_number(10_000_000)),
    Field("first_sign_date", day),
    Field("last_contract_end", day),
)
CONTACT = by_name(
    Field("customer_external_id", text(100), required=True, key=True),
    Field("external_id", text(100), required=True, key=True),
    Field("name", text(100), required=True),
    Field("phone", pattern(PHONE, 40, "a telephone number: digits, spaces and + ( ) - . /")),
    Field("wechat_id", text(100)),
    Field("post", text(100)),
    Field("email", pattern(EMAIL, 254, "an e-mail address")),
)
OWNER = by_name(
    Field("customer_external_id", text(100), required=True, key=True),
    Field("role", one_of(["CSM", "ANALYST", "SALES_MANAGER"]), required=True, key=True),
    Field("login", text(64), required=True),
    Field("valid_from", day),
    Field("valid_to", day),
)
