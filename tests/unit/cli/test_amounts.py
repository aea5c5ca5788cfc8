"""What `kejing orders create` takes for an amount."""

from decimal import Decimal

import pytest

from services.cli.failure import CommandFailed
from services.cli.revenue import _money, amount_of


@pytest.mark.parametrize(
    ("text", "amount"), [("12000", "12000"), ("1,200.50", "1200.50"), ("-0.5", "-0.5"), ("0.000000001", "0.000000001")]
)
def test_an_amount_is_taken_to_its_last_digit(text: str, amount: str) -> None:
    assert amount_of(_money(text, "CNY")) == Decimal(amount)


@pytest.mark.parametrize("text", ["NaN", "1e30", "1e-3", "12 000", "0.0000000001", "9" * 19, "¥5"])
def test_what_is_no_amount_is_refused_and_not_rounded(text: str) -> None:
    with pytest.raises(CommandFailed, match="is no amount"):
        _money(text, "CNY")
