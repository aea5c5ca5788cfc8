"""What values of custom attributes may be."""

import time
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import ric, uscc

from services.customers.domain.attributes import Attribute, checked, masked, plain, reader
from services.customers.domain.fields import PLAIN, BadValue, Writing, credit_code
from services.shared.errors import InvalidArgument


def attribute(kind: str, **more: object) -> Attribute:
    return Attribute("key", "Label", "Purpose", kind, **more)  # type: ignore[arg-type]


def read(kind: str, cell: str, writing: Writing = PLAIN, **more: object) -> str:
    return reader(attribute(kind, **more))(cell, writing)


def refuses(kind: str, cell: str, **more: object) -> bool:
    try:
        read(kind, cell, PLAIN, **more)
    except BadValue:
        return True
    return False


BORN = st.dates(min_value=date(1900, 1, 1)).map(lambda day: f"{day:%Y%m%d}")


@st.composite
def national_ids(draw: st.DrawFn) -> str:
    """Region, day of birth, order of the day, and the checksum that python-stdnum computes."""
    region, order = draw(st.integers(110000, 829999)), draw(st.integers(0, 999))
    body = f"{region}{draw(BORN)}{order:03d}"
    return body + ric.calc_check_digit(body + "0")


@given(national_ids())
def test_a_national_id_with_its_checksum_is_taken(value: str) -> None:
    assert read("NATIONAL_ID", value.lower()) == value


@given(national_ids(), st.sampled_from("0123456789X"))
def test_no_other_last_character_of_a_national_id_is_taken(value: str, last: str) -> None:
    assert refuses("NATIONAL_ID", value[:-1] + last) == (last != value[-1])


@given(national_ids(), st.integers(0, 16), st.integers(1, 9))
def test_one_wrong_digit_of_a_national_id_is_found(value: str, place: int, more: int) -> None:
    wrong = value[:place] + str((int(value[place]) + more) % 10) + value[place + 1 :]
    assert refuses("NATIONAL_ID", wrong)


@given(national_ids())
def test_a_mask_tells_neither_the_day_of_birth_nor_the_length_of_anything(value: str) -> None:
    assert masked(value) == value[:3] + "***********" + value[-4:]
    assert value[6:14] not in masked(value)


@given(st.text("0123456789ABCDEFGHJKLMNPQRTUWXY", min_size=17, max_size=17))
def test_a_credit_code_is_taken_by_its_checksum(body: str) -> None:
    try:
        expected = uscc.validate(body + uscc.calc_check_digit(body))
    except Exception:  # its first characters name no authority
        with pytest.raises(BadValue):
            credit_code(body + "0", PLAIN)
        return
    assert credit_code(expected, PLAIN) == expected
    wrong = "1" if expected[-1] != "1" else "2"
    with pytest.raises(BadValue):
        credit_code(expected[:-1] + wrong, PLAIN)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**14), max_value=10**14))
def test_a_number_is_kept_in_one_way_of_writing(value: object) -> None:
    kept = read("NUMBER", f"{value:f}")
    assert read("NUMBER", kept) == kept
    assert kept == plain(Decimal(kept))
    assert "E" not in kept


@pytest.mark.parametrize(
    ("kind", "cell", "kept"),
    [
        ("NUMBER", "1.50", "1.5"),
        ("NUMBER", "-0.0", "0"),
        ("BOOLEAN", "TRUE", "true"),
        ("MOBILE", "13800138000", "13800138000"),
        ("PHONE", "010-6552 9988", "+861065529988"),
        ("PHONE", "+44 20 7031 3000", "+442070313000"),
        ("EMAIL", "a.b@Example.COM", "a.b@example.com"),
        ("URL", "https://example.com/x?y=1", "https://example.com/x?y=1"),
        ("DATE", "2024-02-29", "2024-02-29"),
    ],
)
def test_good_values_are_kept_in_one_way_of_writing(kind: str, cell: str, kept: str) -> None:
    assert read(kind, cell) == kept


@pytest.mark.parametrize(
    ("kind", "cell"),
    [
        ("NUMBER", "1e5"),
        ("NUMBER", "1.0000001"),
        ("NUMBER", "1,000"),
        ("BOOLEAN", "yes"),
        ("MOBILE", "12800138000"),
        ("MOBILE", "1380013800"),
        ("PHONE", "12"),
        ("PHONE", "+86 123"),
        ("EMAIL", "a@b@c"),
        ("EMAIL", "a@b c.com"),
        ("URL", "ftp://example.com"),
        ("URL", "https:///x"),
        ("URL", "https://exa mple.com"),
        ("DATE", "2023-02-29"),
        ("NATIONAL_ID", "110105491231002"),
        ("NATIONAL_ID", "11010519490231002X"),
        ("TEXT", "x" * 501),
        ("TEXT", "a\x07"),
    ],
)
def test_bad_values_are_refused(kind: str, cell: str) -> None:
    assert refuses(kind, cell)


def test_a_column_may_write_numbers_in_its_own_way() -> None:
    assert read("NUMBER", "1.234,50", Writing(thousands=".", decimal=",")) == "1234.5"


def test_a_pattern_means_the_whole_text() -> None:
    assert read("TEXT", "AB-12", pattern="[A-Z]+-[0-9]+") == "AB-12"
    assert refuses("TEXT", "xAB-12", pattern="[A-Z]+-[0-9]+")
    assert refuses("TEXT", "AB-12 ", pattern="[A-Z]+-[0-9]+")


@pytest.mark.parametrize("pattern", ["(a*)*b", "(a|aa)+b", "(.*)*x", "(a?){30}a{30}b"])
def test_no_pattern_takes_long_whatever_it_says(pattern: str) -> None:
    checked(attribute("TEXT", pattern=pattern))
    began = time.perf_counter()
    assert refuses("TEXT", "a" * 500, pattern=pattern)
    assert time.perf_counter() - began < 1


def test_what_belongs_to_a_person_is_personal_whatever_was_said() -> None:
    assert checked(attribute("EMAIL", personal=False)).personal
    assert not checked(attribute("URL", personal=False)).personal


def test_a_pattern_that_is_too_large_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        checked(attribute("TEXT", pattern="((a{100}){100}){100}"))
