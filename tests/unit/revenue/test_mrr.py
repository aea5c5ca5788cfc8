"""The rule of MRR: which months count, and that months sum to the contract."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.revenue.domain.mrr import month_figure
from services.revenue.domain.term import add_months, last_day_of, months_between, whole_months

days = st.dates(date(2020, 1, 1), date(2028, 12, 31))
month_counts = st.integers(1, 60)


def figures(term_start: date, term_end: date, amount: str, currency: str = "CNY") -> dict[str, Decimal]:
    """What an order counts in each month from the one before its start to the one after its end."""
    found = {}
    for n in range(-1, months_between(term_start, term_end) + 2):
        month = add_months(term_start.replace(day=1), n)
        found[f"{month:%Y-%m}"] = month_figure(
            month=month, term_start=term_start, term_end=term_end, last_day=term_end,
            currency=currency, amount=Decimal(amount), monthly_price=None,
        )  # fmt: skip
    return found


@given(start=days, months=month_counts)
def test_a_term_of_n_whole_months_contains_n_month_ends(start: date, months: int) -> None:
    end = add_months(start, months) - timedelta(days=1)
    assert whole_months(start, end) == months
    ends = [last_day_of(add_months(start.replace(day=1), n)) for n in range(-1, months + 2)]
    assert sum(start <= day <= end for day in ends) == months


@given(start=days, months=month_counts, minor=st.integers(0, 10**12), currency=st.sampled_from(["CNY", "JPY"]))
def test_months_sum_to_the_amount_to_the_cent(start: date, months: int, minor: int, currency: str) -> None:
    amount = Decimal(minor).scaleb(-2 if currency == "CNY" else 0)
    end = add_months(start, months) - timedelta(days=1)
    counted = figures(start, end, str(amount), currency)
    assert sum(counted.values()) == amount
    positive = [figure for figure in counted.values() if figure]
    assert not positive or max(positive) - min(positive) <= Decimal(1).scaleb(-2 if currency == "CNY" else 0)


def test_odd_cents_go_to_the_first_months() -> None:
    counted = figures(date(2026, 1, 1), date(2026, 3, 31), "100.00")
    assert counted == {
        "2025-12": Decimal(0), "2026-01": Decimal("33.34"), "2026-02": Decimal("33.33"), "2026-03": Decimal("33.33"),
        "2026-04": Decimal(0),
    }  # fmt: skip


def test_a_term_inside_a_month_counts_only_where_it_sees_the_last_day() -> None:
    assert sum(figures(date(2026, 5, 3), date(2026, 5, 30), "500").values()) == 0
    assert figures(date(2026, 5, 30), date(2026, 6, 2), "400")["2026-05"] == Decimal("3043.75")


def test_other_terms_count_by_their_days() -> None:
    # 100 days: 1000 ÷ (100 ÷ 30.4375)
    assert figures(date(2026, 1, 10), date(2026, 4, 19), "1000")["2026-02"] == Decimal("304.38")


@pytest.mark.parametrize(
    ("start", "end", "months"),
    [
        (date(2025, 3, 15), date(2026, 3, 14), 12),
        (date(2026, 1, 31), date(2026, 2, 27), 1),  # one month after 31 January is 28 February, which is out
        (date(2024, 2, 29), date(2025, 2, 27), 12),
        (date(2026, 1, 1), date(2026, 1, 30), 0),
        (date(2026, 1, 1), date(2026, 1, 1), 0),
    ],
)
def test_whole_months(start: date, end: date, months: int) -> None:
    assert whole_months(start, end) == months


def test_a_replaced_order_stops_the_day_before() -> None:
    def counted(month: date) -> Decimal:
        return month_figure(
            month=month, term_start=date(2026, 1, 1), term_end=date(2026, 12, 31), last_day=date(2026, 6, 29),
            currency="CNY", amount=Decimal(1200), monthly_price=None,
        )  # fmt: skip

    assert counted(date(2026, 5, 1)) == Decimal(100)
    assert counted(date(2026, 6, 1)) == 0  # the renewal that began on the 30th has June


def test_an_open_ended_order_counts_its_monthly_price() -> None:
    for month in (date(2026, 1, 1), date(2031, 7, 1)):
        figure = month_figure(
            month=month, term_start=date(2026, 1, 20), term_end=None, last_day=None,
            currency="USD", amount=None, monthly_price=Decimal("99.50"),
        )  # fmt: skip
        assert figure == Decimal("99.50")
