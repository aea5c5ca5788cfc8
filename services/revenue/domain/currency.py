"""Currencies that orders may be in, and their minor units (ISO 4217)."""

from decimal import Decimal

from services.shared.errors import InvalidArgument

MINOR_DIGITS = {
    "AUD": 2, "CAD": 2, "CHF": 2, "CNY": 2, "EUR": 2, "GBP": 2, "HKD": 2, "IDR": 2, "INR": 2, "JPY": 0, "KRW": 0,
    "MYR": 2, "NZD": 2, "SGD": 2, "THB": 2, "TWD": 2, "USD": 2, "VND": 0,
}  # fmt: skip
"""Decimals of an amount, by currency code: 2 for CNY (fen), 0 for JPY."""

LARGEST = Decimal(10) ** 13
"""Amounts stay below this, so that sums over all orders stay exact everywhere."""


def check_amount(field: str, amount: Decimal, currency: str) -> None:
    """Raises InvalidArgument where `amount` (in `currency`'s major unit) is no price that an order may have."""
    if currency not in MINOR_DIGITS:
        allowed = f"it must be one of {', '.join(sorted(MINOR_DIGITS))}"
        raise InvalidArgument(f"{field}.currency_code", currency, allowed, "CURRENCY_UNKNOWN")
    if amount < 0:
        raise InvalidArgument(field, str(amount), "it must not be negative")
    if amount >= LARGEST:
        raise InvalidArgument(field, str(amount), f"it must be below {LARGEST:,}")
    digits = MINOR_DIGITS[currency]
    if amount != round(amount, digits):
        raise InvalidArgument(field, str(amount), f"{currency} has {digits} decimals")


def to_minor(amount: Decimal, currency: str) -> int:
    """`amount` in the currency's minor unit; exact for amounts that `check_amount` lets pass."""
    return int(amount.scaleb(MINOR_DIGITS[currency]))


def from_minor(minor: int, currency: str) -> Decimal:
    """The amount in the currency's major unit."""
    return Decimal(minor).scaleb(-MINOR_DIGITS[currency])
