"""What a cell of an imported file may hold, field by field. Only these fields are kept (collection standard)."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from operator import mul

from stdnum.cn import uscc
from stdnum.exceptions import ValidationError

ISO_DATE = "%Y-%m-%d"
EARLIEST, LATEST = date(1900, 1, 1), date(2999, 12, 31)
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
PHONE = re.compile(r"\+?[0-9()\-./ ]{3,40}")
CREDIT_CODE = re.compile(r"[0-9]{8}[0-9A-HJ-NPQRTUWXY]{10}")
CREDIT_VALUES = {letter: value for value, letter in enumerate("0123456789ABCDEFGHJKLMNPQRTUWXY")}
CREDIT_WEIGHTS = [3**place % 31 for place in range(17)] + [1]
FORMULA = "\x01"
"""Begins a cell of a spreadsheet that holds a formula; no other cell may begin so."""
TYPED = "\x02"
"""Begins a cell of a spreadsheet that is a number or a date there: written plainly, whatever the mapping says."""


class BadValue(ValueError):
    """A cell holds what its field must not hold; the message says what is allowed."""


@dataclass(frozen=True)
class Writing:
    """How a column writes its values: dates in one of `formats` (strptime's), numbers with these separators."""

    formats: Sequence[str] = (ISO_DATE,)
    thousands: str = ""
    decimal: str = "."


PLAIN = Writing()
Read = Callable[[str, Writing], str]


@dataclass(frozen=True)
class Field:
    """A field that a mapping may name.

    `read` gives the value of a cell that isn't empty, as it is staged: dates as YYYY-MM-DD, numbers in digits.
    `longest`: characters, where it is free text. `key`: part of what identifies a row; keys are required as well.
    `is_secret`: no report may quote it.
    """

    name: str
    read: Read
    required: bool = False
    key: bool = False
    longest: int = 0
    is_secret: bool = False


def text(name: str, longest: int, *, required: bool = False, key: bool = False) -> Field:
    """A field of free text of at most so many characters."""

    def read(cell: str, _writing: Writing) -> str:
        if len(cell) > longest:
            raise BadValue(f"it may have at most {longest} characters, and has {len(cell)}")
        if UNPRINTABLE.search(cell):
            raise BadValue("it holds a control character")
        return cell

    return Field(name, read, required, key, longest)


def pattern(name: str, rule: re.Pattern[str], longest: int, meaning: str) -> Field:
    checked = text(name, longest)

    def read(cell: str, writing: Writing) -> str:
        if not rule.fullmatch(cell):
            raise BadValue(f"it must be {meaning}")
        return checked.read(cell, writing)

    return Field(name, read)


def one_of(words: Sequence[str]) -> Read:
    def read(cell: str, _writing: Writing) -> str:
        if cell not in words:
            raise BadValue(f"it must be one of {', '.join(words)}")
        return cell

    return read


def number(cell: str, writing: Writing) -> str:
    """A number without its thousands separators, and with a point before its decimals."""
    whole, point, decimals = cell.partition(writing.decimal)
    sign = whole[:1] if whole[:1] == "-" else ""
    digits = whole.removeprefix("-")
    if writing.thousands and writing.thousands in digits:
        first, *groups = digits.split(writing.thousands)
        if not 0 < len(first) <= 3 or any(len(group) != 3 for group in groups):
            raise BadValue(f"it must be a number whose thousands {writing.thousands!r} separates")
        digits = "".join((first, *groups))
    if not _are_digits(digits) or (point and not _are_digits(decimals)) or len(digits + decimals) > 30:
        allowed = f", with {writing.thousands!r} between thousands" if writing.thousands else ""
        raise BadValue(f"it must be a number{allowed}, with {writing.decimal!r} before its decimals")
    return f"{sign}{digits}.{decimals}" if decimals else f"{sign}{digits}"


def whole_number(largest: int) -> Read:
    def read(cell: str, writing: Writing) -> str:
        try:
            plain = number(cell, writing)
        except BadValue:
            plain = ""
        if not (plain.isdigit() and int(plain) <= largest):
            between = f", with {writing.thousands!r} between thousands" if writing.thousands else ""
            raise BadValue(f"it must be a whole number from 0 to {largest}{between}")
        return str(int(plain))

    return read


def day(cell: str, writing: Writing) -> str:
    meant = list(dict.fromkeys(found for form in writing.formats if (found := _day_in(cell, form))))
    if not meant:
        raise BadValue(f"it must be a date written as {' or '.join(writing.formats)}")
    if len(meant) > 1:
        raise BadValue(f"it may mean {' or '.join(map(str, meant))}; a date must be written in one way only")
    if not EARLIEST <= meant[0] <= LATEST:
        raise BadValue(f"it must lie between {EARLIEST} and {LATEST}")
    return meant[0].isoformat()


def _day_in(cell: str, date_format: str) -> date | None:
    try:
        return datetime.strptime(cell, date_format).date()  # noqa: DTZ007 - a date has no time zone
    except ValueError:
        return None


def _are_digits(cell: str) -> bool:
    return cell.isascii() and cell.isdigit()


def credit_code(cell: str, _writing: Writing) -> str:
    # As the library says it of a code that is written plainly, at a tenth of the cost.
    if CREDIT_CODE.fullmatch(cell) and sum(map(mul, map(CREDIT_VALUES.__getitem__, cell), CREDIT_WEIGHTS)) % 31 == 0:
        return cell
    try:
        return str(uscc.validate(cell))
    except ValidationError:
        raise BadValue("it must be a unified social credit code of 18 characters (GB 32100)") from None


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
    text("external_id", 100, required=True, key=True),
    text("name", 200, required=True),
    text("short_name", 100),
    text("industry", 100),
    text("region", 100),
    Field("kind", one_of(["ENTERPRISE", "INDIVIDUAL"])),
    text("size", 100),
    text("value_tier", 100),
    Field("seats", whole_number(10_000_000)),
    Field("first_sign_date", day),
    Field("last_contract_end", day),
    Field("credit_code", credit_code),
    text("parent_external_id", 100),
)
NUMBER = text("number", 30)
"""Our own number of a customer, by which a source may recognise one; it is never written."""
CONTACT = by_name(
    text("customer_external_id", 100, required=True, key=True),
    text("external_id", 100, required=True, key=True),
    text("name", 100, required=True),
    pattern("phone", PHONE, 40, "a telephone number: digits, spaces and + ( ) - . /"),
    text("wechat_id", 100),
    text("post", 100),
    pattern("email", EMAIL, 254, "an e-mail address"),
)
OWNER = by_name(
    text("customer_external_id", 100, required=True, key=True),
    Field("role", one_of(["CSM", "ANALYST", "SALES_MANAGER"]), required=True, key=True),
    text("login", 64, required=True),
    Field("valid_from", day),
    Field("valid_to", day),
)
