"""What cells of an imported file may hold."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.customers.domain.churn import is_churned
from services.customers.domain.fields import (
    CONTACT,
    CUSTOMER,
    EARLIEST,
    LATEST,
    OWNER,
    PLAIN,
    BadValue,
    Writing,
    is_date_format,
)
from services.customers.domain.numbers import customer_number, number_key

DAYS = st.dates(date(2000, 1, 1), date(2999, 12, 31))


@pytest.mark.parametrize(
    ("fields", "name", "cell"),
    [
        (CUSTOMER, "seats", "-1"),
        (CUSTOMER, "seats", "1.5"),
        (CUSTOMER, "seats", "١٢"),
        (CUSTOMER, "seats", "10000001"),
        (CUSTOMER, "seats", "9" * 40),
        (CUSTOMER, "kind", "enterprise"),
        (CUSTOMER, "name", "a\x00b"),
        (CUSTOMER, "name", "x" * 201),
        (CUSTOMER, "external_id", "a\x1fb"),
        (CUSTOMER, "last_contract_end", "2024-02-30"),
        (CUSTOMER, "last_contract_end", "3000-01-01"),
        (CUSTOMER, "last_contract_end", "1899-12-31"),
        (CONTACT, "email", "a@b"),
        (CONTACT, "email", "a b@example.com"),
        (CONTACT, "phone", "one two three"),
        (OWNER, "role", "BOSS"),
    ],
)
def test_a_wrong_cell_is_refused_with_what_is_allowed(fields: dict, name: str, cell: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(BadValue) as refused:
        fields[name].read(cell, PLAIN)
    assert str(refused.value).startswith("it ")


@given(st.dates(EARLIEST, LATEST), st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%Y年%m月%d日"]))
def test_a_date_means_the_same_in_every_format(day: date, date_format: str) -> None:
    assert is_date_format(date_format)
    written = day.strftime(date_format.replace("%Y", f"{day.year:04d}"))
    assert CUSTOMER["first_sign_date"].read(written, Writing((date_format,))) == day.isoformat()


@pytest.mark.parametrize("date_format", ["", "%d.%m", "%Y", "day", "%H:%M", "%Q", "%Y-%m-%d %d"])
def test_a_format_by_which_no_day_can_be_read_is_none(date_format: str) -> None:
    assert not is_date_format(date_format)


@given(st.text(max_size=300))
def test_any_text_is_either_taken_as_it_is_or_refused(cell: str) -> None:
    try:
        assert CUSTOMER["name"].read(cell, PLAIN) == cell
    except BadValue:
        assert len(cell) > 200 or any(
            ord(letter) < 32 or letter == "\x7f" or "\ud800" <= letter <= "\udfff" for letter in cell
        )


def test_customers_numbers_have_four_digits_and_widen() -> None:
    day = date(2026, 11, 22)
    assert customer_number(day, 1) == "CUS202611220001"
    assert customer_number(day, 9999) == "CUS202611229999"
    assert customer_number(day, 10000) == "CUS2026112210000"


@given(DAYS, st.integers(1, 10**8), DAYS, st.integers(1, 10**8))
def test_numbers_sort_by_day_and_then_by_creation(one: date, first: int, two: date, second: int) -> None:
    assert (number_key(one, first) < number_key(two, second)) == ((one, first) < (two, second))


@given(DAYS)
def test_a_customer_churns_the_day_after_the_last_contract_ends(end: date) -> None:
    assert not is_churned(end, end)
    assert is_churned(end, end + timedelta(days=1))
    assert not is_churned(None, end)
