"""Customer numbers."""

from datetime import date


def customer_number(day: date, position: int) -> str:
    """The number of the `position`-th customer (from 1) of the business date `day`: CUS202611220001, wider past 9,999."""
    return f"CUS{day:%Y%m%d}{position:04d}"
