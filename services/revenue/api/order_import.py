"""Taking orders from another system: rows are checked one by one, and a batch of good ones goes in at once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from google.type.date_pb2 import Date
from sqlalchemy import Row

from kejing.revenue.v1 import orders_service_pb2 as pb
from services.revenue.api.customer_facts import tell_customer_facts
from services.revenue.api.order_events import tell_orders
from services.revenue.api.wire import to_terms
from services.revenue.domain.order import OrderTerms, Status, check, check_renewal
from services.revenue.storage import contract_ends, customers, orders
from services.shared.db import Database
from services.shared.errors import FailedPrecondition, InvalidArgument, NotFound, Refusal
from services.shared.ids import new_id
from services.shared.rpc.caller import Call, caller, current_call, current_method

REPORTED_ROWS = 1000


@dataclass(frozen=True)
class _Good:
    """A row that may go in."""

    order_id: UUID
    customer_id: UUID
    terms: OrderTerms
    renews_order_id: UUID | None


class OrderImport:
    """One call of ImportOrders; `report` grows with each batch."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.report = pb.ImportOrdersResponse()

    async def take(self, batch: pb.ImportOrdersRequest) -> None:
        """Commits what is good of a batch and reports the rest. Raises AlreadyExists for a reused request_id."""
        current_call.set(Call(current_method(), batch))  # each batch is recorded by itself, as it is committed
        async with self._db.write(batch) as write:
            read, scope = write.connection, caller().scope
            owners = await customers.ids_by_external_id(read, scope, [row.customer_external_id for row in batch.rows])
            await contract_ends.hold(write, owners.values())
            numbers = [row.number for row in batch.rows] + [
                row.renews_number for row in batch.rows if row.renews_number
            ]
            known = await orders.by_number(read, scope, numbers)
            before = {known[row.number].customer_id for row in batch.rows if row.number in known}
            await contract_ends.hold(write, before)
            good = list(self._good(batch, owners, known))
            created = updated = 0
            if good and write.first:
                values = [orders.to_row(g.order_id, g.customer_id, g.terms, g.renews_order_id, write.now) for g in good]
                changed = await orders.take_over(write, values)
                created = sum(order.is_new for order in changed)
                updated = len(changed) - created
                tell_orders(write, changed, imported=True)
                await tell_customer_facts(write, before | {each.customer_id for each in good})
            if write.doing:
                write.doing.change = {"created": created, "updated": updated, "rows": len(batch.rows)}
        self.report.created += created
        self.report.updated += updated
        self.report.unchanged += len(good) - created - updated

    def _good(
        self, batch: pb.ImportOrdersRequest, owners: Mapping[str, UUID], known: Mapping[str, Row[Any]]
    ) -> Iterator[_Good]:
        """The good rows, each after the one that it renews where both are in the batch; reports the others."""
        waiting = {}
        for row in batch.rows:
            if row.number in waiting:
                refusal = InvalidArgument("number", row.number, "it stands in the batch before", "DUPLICATE_NUMBER")
                self._reject(row, refusal)
            else:
                waiting[row.number] = row
        taken: dict[str, _Good] = {}
        for row in sorted(waiting.values(), key=lambda row: _day_number(row)):
            try:
                taken[row.number] = _checked(row, owners, known, taken)
            except Refusal as refusal:
                self._reject(row, refusal)
            else:
                yield taken[row.number]

    def _reject(self, row: pb.OrderRow, refusal: Refusal) -> None:
        self.report.rejected += 1
        if len(self.report.rejections) == REPORTED_ROWS:
            return
        field = refusal.metadata.get("field") or _FIELDS.get(refusal.reason, "number")
        self.report.rejections.add(
            line=row.line,
            number=row.number[:100],
            field=field,
            value=_shown(row, field)[:100],
            reason=refusal.reason,
            message=refusal.message,
        )


_FIELDS = {
    "CUSTOMER_NOT_FOUND": "customer_external_id",
    "ORDER_NOT_FOUND": "renews_number",
    "ORDER_OF_ANOTHER_CUSTOMER": "renews_number",
    "RENEWAL_STARTS_TOO_EARLY": "term_start",
    "ORDER_VOID": "status",
}
"""The field of a row that a refusal without a field is about."""


def _checked(
    row: pb.OrderRow, owners: Mapping[str, UUID], known: Mapping[str, Row[Any]], taken: Mapping[str, _Good]
) -> _Good:
    """Raises Refusal for the first thing that is wrong with the row."""
    terms = to_terms(row)
    check(terms)
    if row.customer_external_id not in owners:
        raise NotFound("customer", row.customer_external_id)
    customer_id = owners[row.customer_external_id]
    before = known.get(row.number)
    if before is not None and before.status == Status.VOID and terms.status != Status.VOID:
        raise FailedPrecondition("ORDER_VOID", f"order {row.number} was made void here: {before.void_reason}")
    renews_order_id = None
    if row.renews_number == row.number:
        raise InvalidArgument("renews_number", row.renews_number, "an order can't renew itself")
    if row.renews_number:
        if row.renews_number in taken:
            renewed = taken[row.renews_number]
            check_renewal(customer_id, terms.term_start, renewed.customer_id, renewed.terms.term_start)
            renews_order_id = renewed.order_id
        elif row.renews_number in known:
            stored = known[row.renews_number]
            check_renewal(customer_id, terms.term_start, stored.customer_id, stored.term_start)
            renews_order_id = stored.id
        else:
            raise NotFound("order", row.renews_number)
    return _Good(before.id if before is not None else new_id(), customer_id, terms, renews_order_id)


def _day_number(row: pb.OrderRow) -> tuple[int, int, int]:
    return (row.term_start.year, row.term_start.month, row.term_start.day)


def _shown(row: pb.OrderRow, field: str) -> str:
    """What the row holds in a field, for a person."""
    name: Any = field.partition(".")[0]  # "amount.currency_code" is about amount
    if not row.DESCRIPTOR.fields_by_name[name].has_presence:
        return str(getattr(row, name))
    if not row.HasField(name):
        return ""
    value = getattr(row, name)
    if isinstance(value, Date):
        return f"{value.year:04}-{value.month:02}-{value.day:02}"
    return f"{value.units + Decimal(value.nanos) / 10**9:f} {value.currency_code}"
