"""What an order may say."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from uuid import uuid4

import pytest

from services.revenue.domain.order import OrderTerms, Status, check, check_renewal, last_day
from services.shared.errors import FailedPrecondition, InvalidArgument

YEAR = OrderTerms(
    number="HT-1", product="Standard", currency="CNY", amount=Decimal(1200), monthly_price=None,
    signed_date=date(2025, 12, 20), term_start=date(2026, 1, 1), term_end=date(2026, 12, 31),
    counts_to_mrr=True, status=Status.EFFECTIVE,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"number": " "}, "number"),
        ({"product": "x" * 201}, "product"),
        ({"product": "x\x00"}, "product"),
        ({"term_end": date(2025, 12, 31)}, "term_end"),
        ({"term_end": None}, "term_end"),
        ({"term_start": date(1026, 1, 1)}, "term_start"),
        ({"amount": Decimal(-1)}, "amount"),
        ({"amount": Decimal("1.001")}, "amount"),
        ({"amount": Decimal("0.5"), "currency": "JPY"}, "amount"),
        ({"amount": Decimal(10) ** 13}, "amount"),
        ({"currency": "RMB"}, "amount.currency_code"),
        ({"amount": None}, "amount"),
        ({"monthly_price": Decimal(1)}, "amount"),
        ({"amount": None, "monthly_price": Decimal(-1)}, "monthly_price"),
    ],
)
def test_wrong_orders_are_refused_by_field(changes: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check(replace(YEAR, **changes))  # type: ignore[arg-type]
    assert refused.value.violations[0].field == field


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"amount": Decimal(0)},
        {"term_end": date(2026, 1, 1)},
        {"amount": None, "monthly_price": Decimal("99.9"), "term_end": None},
        {"amount": None, "monthly_price": Decimal("99.9")},
        {"amount": Decimal(300), "currency": "JPY"},
    ],
)
def test_right_orders_pass(changes: dict[str, object]) -> None:
    check(replace(YEAR, **changes))  # type: ignore[arg-type]


def test_a_renewal_is_of_the_same_customer_and_starts_later() -> None:
    customer = uuid4()
    check_renewal(customer, date(2026, 1, 2), customer, date(2026, 1, 1))
    with pytest.raises(FailedPrecondition, match="same customer"):
        check_renewal(customer, date(2026, 1, 2), uuid4(), date(2026, 1, 1))
    with pytest.raises(FailedPrecondition, match="start later"):
        check_renewal(customer, date(2026, 1, 1), customer, date(2026, 1, 1))


def test_last_day() -> None:
    end = date(2026, 12, 31)
    assert last_day(end, None) == end
    assert last_day(None, None) is None
    assert last_day(end, date(2027, 3, 1)) == end
    assert last_day(end, date(2026, 7, 1)) == date(2026, 6, 30)
    assert last_day(None, date(2026, 7, 1)) == date(2026, 6, 30)
