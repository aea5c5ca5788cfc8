"""When a customer counts as churned."""

from datetime import date


def is_churned(last_contract_end: date | None, today: date) -> bool:
    """From the day after the last contract's end; never without an end. Both are business dates."""
    return last_contract_end is not None and last_contract_end < today
