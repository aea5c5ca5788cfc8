"""Customer numbers."""

from datetime import date


def customer_number(day: date, position: int) -> str:
    """The number of the `position`-th customer (from 1) of a business date: CUS202611220001, wider past 9,999."""
    return f"CUS{day:%Y%m%d}{position:04d}"


def number_key(day: date, position: int) -> int:
    """What customer numbers are sorted by, because their texts don't sort once they widen."""
    return int(f"{day:%Y%m%d}") * 10**9 + position
