"""Custom attributes: what administrators define beyond the standard fields, and what their values may be."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import phonenumbers
import re2  # type: ignore[import-untyped]
from email_validator import EmailNotValidError, validate_email
from stdnum.cn import ric

from services.customers.domain.collection import TAKEN
from services.customers.domain.fields import PLAIN, BadValue, Field, Read, Writing, day, number, one_of, text
from services.shared.errors import InvalidArgument

MOST = 200
LONGEST_TEXT = 500
COUNTRY = "CN"
"""Of telephone numbers that are written without a country code."""
ALWAYS_PERSONAL = ("NATIONAL_ID", "MOBILE", "PHONE", "EMAIL")
ID_SHAPE = re.compile(r"[0-9]{17}[0-9X]")
MOBILE_SHAPE = re.compile(r"1[3-9][0-9]{9}")
NUMBER_SHAPE = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,6})?")
TEXT = text("text", LONGEST_TEXT)


@dataclass(frozen=True)
class Attribute:
    """A definition. `type` is an AttributeType without its prefix; `minimum` and `maximum` are "" where there is no
    limit, `pattern` (RE2) where anything goes.
    """

    key: str
    label: str
    purpose: str
    type: str
    required: bool = False
    personal: bool = False
    options: Sequence[str] = field(default_factory=tuple)
    minimum: str = ""
    maximum: str = ""
    pattern: str = ""

    @property
    def encrypted(self) -> bool:
        return self.type == "NATIONAL_ID"


def checked(attribute: Attribute) -> Attribute:
    """`attribute` with what follows from its type. Raises InvalidArgument (ATTRIBUTE_WRONG) where it can't be right."""
    kind = attribute.type
    if attribute.key in TAKEN:
        raise _wrong("key", attribute.key, "it is a standard field's; a custom attribute needs a key of its own")
    if bool(attribute.options) != (kind == "OPTION"):
        raise _wrong("options", list(attribute.options), "an OPTION needs options, and nothing else has any")
    for place in ("minimum", "maximum"):
        limit = getattr(attribute, place)
        if limit and kind not in ("NUMBER", "DATE", "TEXT"):
            raise _wrong(place, limit, "only a NUMBER, a DATE and a TEXT have limits")
        if limit:
            _check_limit(attribute, place, limit)
    if attribute.minimum and attribute.maximum and _limit(kind, attribute.minimum) > _limit(kind, attribute.maximum):
        raise _wrong("maximum", attribute.maximum, f"it must not be below the minimum, {attribute.minimum}")
    if attribute.pattern and kind != "TEXT":
        raise _wrong("pattern", attribute.pattern, "only a TEXT has a pattern")
    try:
        _compiled(attribute.pattern)
    except re2.error as error:
        raise _wrong("pattern", attribute.pattern, f"it must be an expression of RE2: {_reason(error)}") from None
    for option in attribute.options:
        try:
            TEXT.read(option, PLAIN)
        except BadValue as error:
            raise _wrong("options", option, str(error)) from None
        if option != option.strip():
            raise _wrong("options", option, "an option must not begin or end with a blank")
    return replace(attribute, personal=attribute.personal or kind in ALWAYS_PERSONAL)


def field_of(attribute: Attribute) -> Field:
    """The field that a mapping may name; its values are texts, as attributes keep them. A national id is read in clear:
    whoever takes it in seals it at once.
    """
    is_free = attribute.type == "TEXT" and not attribute.minimum and not attribute.pattern
    longest = int(attribute.maximum or LONGEST_TEXT) if is_free else 0
    return Field(attribute.key, reader(attribute), longest=longest, is_secret=attribute.encrypted)


def reader(attribute: Attribute) -> Read:
    """Reads a cell that isn't empty, as it is kept; raises BadValue where it isn't what the attribute may hold."""
    match attribute.type:
        case "NUMBER":
            return _number(attribute.minimum, attribute.maximum)
        case "DATE":
            return _day(attribute.minimum, attribute.maximum) if attribute.minimum or attribute.maximum else day
        case "BOOLEAN":
            return _boolean
        case "OPTION":
            return one_of(attribute.options)
        case "MOBILE":
            return _mobile
        case "PHONE":
            return _phone
        case "EMAIL":
            return _email
        case "URL":
            return _url
        case "NATIONAL_ID":
            return _national_id
    return _text(int(attribute.minimum or 0), int(attribute.maximum or LONGEST_TEXT), attribute.pattern)


def masked(national_id: str) -> str:
    """The region and the last four characters; what lies between tells the day of birth."""
    return national_id[:3] + "*" * (len(national_id) - 7) + national_id[-4:]


def _text(shortest: int, longest: int, pattern: str) -> Read:
    printable, compiled = text("text", longest), _compiled(pattern)

    def read(cell: str, writing: Writing) -> str:
        if len(cell) < shortest:
            raise BadValue(f"it must have at least {shortest} characters, and has {len(cell)}")
        if compiled is not None and not compiled.fullmatch(cell):
            raise BadValue(f"it must look like {pattern}")
        return printable.read(cell, writing)

    return read


def _number(minimum: str, maximum: str) -> Read:
    least, greatest = (Decimal(limit) if limit else None for limit in (minimum, maximum))

    def read(cell: str, writing: Writing) -> str:
        written = number(cell, writing)
        if not NUMBER_SHAPE.fullmatch(written):
            raise BadValue("it must be a number of at most 15 digits, with at most 6 decimals")
        value = Decimal(written)
        if least is not None and value < least:
            raise BadValue(f"it must not be below {minimum}")
        if greatest is not None and value > greatest:
            raise BadValue(f"it must not be above {maximum}")
        return plain(value)

    return read


def plain(value: Decimal) -> str:
    """A decimal in its one way of writing: no exponent, no zeros at the end, no "-0"."""
    written = f"{value:f}"
    if "." in written:
        written = written.rstrip("0").rstrip(".")
    return "0" if written in ("-0", "") else written


def _day(minimum: str, maximum: str) -> Read:
    def read(cell: str, writing: Writing) -> str:
        value = day(cell, writing)
        if minimum and value < minimum:
            raise BadValue(f"it must not be before {minimum}")
        if maximum and value > maximum:
            raise BadValue(f"it must not be after {maximum}")
        return value

    return read


def _boolean(cell: str, _writing: Writing) -> str:
    if cell.lower() not in ("true", "false"):
        raise BadValue("it must be true or false")
    return cell.lower()


def _mobile(cell: str, _writing: Writing) -> str:
    if not MOBILE_SHAPE.fullmatch(cell):
        raise BadValue("it must be a mobile number of mainland China: 11 digits that begin with 13 to 19")
    return cell


def _phone(cell: str, _writing: Writing) -> str:
    try:
        parsed = phonenumbers.parse(cell, COUNTRY)
    except phonenumbers.NumberParseException:
        raise BadValue("it must be a telephone number, with its country code unless it is of mainland China") from None
    if not phonenumbers.is_valid_number(parsed):
        raise BadValue("it is no telephone number that the numbering plan of its country allows")
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))


def _email(cell: str, _writing: Writing) -> str:
    try:
        return validate_email(cell, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError:
        raise BadValue("it must be an e-mail address") from None


def _url(cell: str, writing: Writing) -> str:
    try:
        parts = urlsplit(cell)
        is_web = parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"\s", cell)
    except ValueError:
        is_web = False
    if not is_web:
        raise BadValue("it must be an address that begins with https:// or http://")
    return TEXT.read(cell, writing)


def _national_id(cell: str, _writing: Writing) -> str:
    found = cell.upper()
    if not ID_SHAPE.fullmatch(found):
        raise BadValue("it must be a resident's id of 18 characters: 17 digits, and a digit or X")
    try:
        born = date(int(found[6:10]), int(found[10:12]), int(found[12:14]))
    except ValueError:
        born = date.min
    if born.year < 1800:
        raise BadValue("it must be a resident's id, whose 7th to 14th digits are a day of birth")
    if ric.calc_check_digit(found) != found[-1]:
        raise BadValue("it must be a resident's id (GB 11643), whose last character is the checksum of the others")
    return found


@lru_cache(maxsize=1000)
def _compiled(pattern: str) -> Any:
    """The pattern; its time grows with the text's length alone, whatever it says. None for ""."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    return re2.compile(pattern, options) if pattern else None


def _check_limit(attribute: Attribute, place: str, limit: str) -> None:
    try:
        found = _limit(attribute.type, limit)
    except (ValueError, InvalidOperation, BadValue):
        kind = {"NUMBER": "a decimal number", "DATE": "a date as YYYY-MM-DD", "TEXT": "a whole number of characters"}
        raise _wrong(place, limit, f"it must be {kind[attribute.type]}") from None
    if attribute.type == "TEXT" and not 0 <= int(found) <= LONGEST_TEXT:
        raise _wrong(place, limit, f"a text has 0 to {LONGEST_TEXT} characters")


def _limit(kind: str, limit: str) -> Any:
    if kind == "NUMBER":
        return Decimal(_number("", "")(limit, PLAIN))
    return day(limit, PLAIN) if kind == "DATE" else int(limit)


def _reason(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)


def _wrong(place: str, value: object, allowed: str) -> InvalidArgument:
    return InvalidArgument(f"attribute.{place}", value, allowed, "ATTRIBUTE_WRONG")
