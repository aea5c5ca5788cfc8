"""SETTLE: takes out of an import's table what can't go in, or is said again later in the file."""

from collections.abc import Iterable
from typing import Any

from services.customers.api.import_step import Step
from services.customers.api.import_wire import KEYS
from services.customers.domain.rows import Rejection
from services.customers.storage import applying, applying_people, import_runs, staged

ERASED = "the customer's personal data were erased on request; its contacts are not taken in again"
"""Of such rows nothing is kept, not even for the file of rejected rows."""


async def settle(step: Step) -> dict[str, Any]:
    """Answers what changes of the import's row."""
    row, write, mapping, table = step.row, step.write, step.mapping, step.table.fullname
    rejections: list[Rejection] = []
    erased: list[Rejection] = []

    def rejected(field: str, reason: str, found: Iterable[tuple[int, str]]) -> list[Rejection]:
        return [Rejection(line, mapping.heading(field), value, reason) for line, value in found]

    if "customer_external_id" in mapping.fields:
        found = await applying_people.remove_unknown_customers(write, table, row.source)
        rejections += rejected("customer_external_id", "no customer has this external id", found)
    if row.kind == "CONTACTS":
        found = await applying_people.remove_erased(write, table, row.source)
        erased = rejected("customer_external_id", ERASED, found)
    if "login" in mapping.fields:
        found = await applying_people.remove_unknown_logins(write, table)
        rejections += rejected("login", "no active employee has this login", found)
    if {"valid_from", "valid_to"} <= {*step.fields}:
        found = await applying_people.remove_backward_periods(write, table)
        rejections += rejected("valid_to", "the period ends before it begins", found)
    rejections.sort(key=lambda rejection: rejection.line)
    cells = await step.cells(rejection.line for rejection in rejections)
    rejections = sorted([*rejections, *erased], key=lambda rejection: rejection.line)
    await step.reject("SETTLE", rejections, cells)
    replaced = await staged.supersede(write, step.table, KEYS[row.kind])
    await step.supersede("SETTLE", replaced)
    await staged.settle(write, step.table)
    if row.kind == "CUSTOMERS":
        again = await applying.supersede_linked(write, step.table, step.source({}))
        await step.supersede("SETTLE", again)
        replaced += again
    await import_runs.note_source(write, row.source, row.kind, mapping.ours)
    return {
        "step": "APPLY",
        "staged": row.staged - len(rejections) - len(replaced),
        "rejected": row.rejected + len(rejections),
        "superseded": row.superseded + len(replaced),
    }
