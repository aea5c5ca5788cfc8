"""Contract orders: what may be entered, and until when an order counts."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from services.revenue.domain.currency import check_amount
from services.shared.errors import FailedPrecondition, InvalidArgument

EARLIEST, LATEST = date(1990, 1, 1), date(2100, 1, 1)
"""Years beyond these are slips of the keyboard."""


class Status(StrEnum):
    DRAFT = "DRAFT"
    EFFECTIVE = "EFFECTIVE"
    VOID = "VOID"


@dataclass(frozen=True)
class OrderTerms:
    """What an order says. Exactly one of `amount` (for the whole term) and `monthly_price` is given, net of tax, in the
    major unit of `currency`. `term_end` is the last day, included; None: open-ended.
    """

    number: str
    product: str
    currency: str
    amount: Decimal | None
    monthly_price: Decimal | None
    signed_date: date
    term_start: date
    term_end: date | None
    counts_to_mrr: bool
    status: Status


def check(terms: OrderTerms) -> None:
    """Raises InvalidArgument for the first thing that is wrong with an order."""
    for field, text, longest in (("number", terms.number, 100), ("product", terms.product, 200)):
        if not text.strip() or len(text) > longest or not text.isprintable():
            raise InvalidArgument(field, text, f"it must hold 1 to {longest} characters, all of them printable")
    for field, day in (
        ("signed_date", terms.signed_date),
        ("term_start", terms.term_start),
        ("term_end", terms.term_end),
    ):
        if day is not None and not EARLIEST <= day <= LATEST:
            raise InvalidArgument(field, day.isoformat(), f"it must lie between {EARLIEST} and {LATEST}")
    if terms.term_end is not None and terms.term_end < terms.term_start:
        raise InvalidArgument(
            "term_end", terms.term_end.isoformat(), f"it must not be before term_start, {terms.term_start}"
        )
    if (terms.amount is None) == (terms.monthly_price is None):
        raise InvalidArgument("amount", "", "exactly one of amount and monthly_price must be given")
    if terms.amount is not None:
        check_amount("amount", terms.amount, terms.currency)
        if terms.term_end is None:
            raise InvalidArgument(
                "term_end", "", "an order with an amount needs it; an open-ended one has monthly_price"
            )
    if terms.monthly_price is not None:
        check_amount("monthly_price", terms.monthly_price, terms.currency)


def check_renewal(customer_id: UUID, term_start: date, renewed_customer_id: UUID, renewed_start: date) -> None:
    """Raises FailedPrecondition where an order may not renew the other one."""
    if customer_id != renewed_customer_id:
        raise FailedPrecondition("ORDER_OF_ANOTHER_CUSTOMER", "an order can only renew one of the same customer")
    if term_start <= renewed_start:
        raise FailedPrecondition(
            "RENEWAL_STARTS_TOO_EARLY", f"the renewed order starts on {renewed_start}, a renewal must start later"
        )


def last_day(term_end: date | None, replaced_from: date | None) -> date | None:
    """The last day on which an order counts; None: no end in sight.

    `replaced_from` is the first day of the customer's effective order that renews it, None where there is none.
    """
    if replaced_from is None:
        return term_end
    before = replaced_from - timedelta(days=1)
    return before if term_end is None else min(term_end, before)
