"""Sorted pages and capped counts of customers, whose cost does not grow with the number of customers.

Whoever sees everything walks an index of all customers, or of the rarest label that is asked for, in the order asked
for; further labels are looked up on the way. Whoever sees the customers of a few employees merges these employees' own
lists, reading little more than the page holds. With many employees a piece of the walk is tried first, for most of its
rows are likely in scope; where they aren't, the lists are merged after all. So a department whose customers lie all at
the far end of the order costs no more than another. What few customers fulfil, such as a long beginning of a name, is
gathered whole and sorted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from math import ceil, log2, prod
from typing import Any
from uuid import UUID

from services.customers.storage import list_sizes, list_statements
from services.customers.storage.labels import LISTED
from services.customers.storage.list_sizes import FEW
from services.customers.storage.list_statements import FIRST_ID, LAST_CHARACTER, LAST_ID, SORTS, Shape, edge
from services.shared.access import Scope
from services.shared.access.ids import Ids
from services.shared.db import Database

FEW_EMPLOYEES = 250
"""Up to so many employees their lists are merged at once; beyond, a bounded walk is tried first."""
WALKED_PAGES, WALKED_PAGES_OF_A_LABEL = 6, 20
"""So many times the page's rows are walked at most, before the lists are merged; a rare label is soon walked whole."""
LEAST_HEAD = 2
"""At least so many rows of each list are read."""
LOOK_UP, EACH_LIST = 2.5, 4
"""What it costs to look up a row's owners or labels, and to begin with a list, where the next row of a list costs 1."""
LEAST_BUDGET, TIMES_EXPECTED = 1_000, 4
"""A walk that was expected to be short is given up after so many rows, or so many times what was expected."""
COUNTED = 10_000


@dataclass(frozen=True)
class Wanted:
    """Which customers a list is about. `owned_by`: sets of employees, of each of which one must own the customer on the
    business date `today`; no set: whoever owns it. The lists of the first set's employees are read.

    `labels` are all carried, of `without` none (see storage/labels.py). no_health: health was never computed.
    """

    today: date
    churned: bool | None = False
    """None: churned or not."""
    owned_by: tuple[tuple[UUID, ...], ...] = ()
    name_prefix: str = ""
    labels: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    no_health: bool = False

    @classmethod
    def within(cls, scope: Scope, owners: Sequence[UUID], today: date, **more: Any) -> "Wanted":
        """Customers in `scope` that each of `owners` owns."""
        sets: list[tuple[UUID, ...]] = [(owner,) for owner in dict.fromkeys(owners)]
        if not scope.everything and not any(owner in scope.employees for owner in owners):
            sets.append(scope.employees)
        return cls(today, owned_by=tuple(sets), **more)


@dataclass(frozen=True)
class Order:
    """By what a page is sorted, which way, and after which (value, id) it begins."""

    sort: str
    descending: bool = False
    after: Sequence[Any] | None = None


@dataclass(frozen=True)
class _Plan:
    """How a page is read. `walk`: rows that a walk may take before the lists are merged; 0: as many as it takes; None:
    the lists are merged at once.
    """

    walk: int | None
    labels: tuple[str, ...] = ()
    """The one first along which is walked, where `leads` says so."""
    leads: bool = False
    listed: tuple[str, ...] = ()
    """The same labels, the one first whose lists of the owners are merged, where `lists_lead` says so."""
    lists_lead: bool = False
    gathered: bool = False
    """Whether few fulfil what is asked, which are sorted."""


async def page(db: Database, wanted: Wanted, order: Order, size: int) -> Sequence[Any]:
    """Up to `size` customers, with all that customers.WHOLE has of them."""
    plan = await _plan(db, wanted, order.sort, size)
    shape = replace(_shape(wanted, order.sort, size), descending=order.descending, after=order.after is not None)
    values = _values(wanted)
    if order.after:
        start, first = tuple(order.after), edge(shape)
        if first:
            start = (min if order.descending else max)(start, (values[first], FIRST_ID))
        values |= {"after_key": start[0], "after_id": start[1]}
    if plan.walk is not None:
        walked = replace(shape, leads=plan.leads, budget=plan.walk, gathered=plan.gathered)
        of_walk = values | _labels(plan.labels)
        rows = await db.all(list_statements.walk(walked), **of_walk)
        if not plan.walk or len(rows) == size or not await db.all(list_statements.last_walked(walked), **of_walk):
            return rows
    many = len(wanted.owned_by[0])
    sort = SORTS[order.sort]
    values |= _labels(plan.listed)
    values |= {"end_key": sort.first if order.descending else sort.last,
               "end_id": FIRST_ID if order.descending else LAST_ID}  # fmt: skip
    merged = replace(shape, leads=plan.lists_lead, gathered=plan.gathered, head=_head(size, many) if many > 1 else 0)
    return await db.all(list_statements.merge(merged), **values)


async def count(db: Database, wanted: Wanted) -> int:
    """How many customers there are, counted up to COUNTED + 1."""
    plan = await _plan(db, wanted, "NAME", COUNTED + 1)
    lists = bool(wanted.owned_by) and (plan.lists_lead or not plan.leads or plan.walk is None)
    shape = replace(_shape(wanted, "NAME", COUNTED + 1), leads=plan.lists_lead if lists else plan.leads)
    values = _values(wanted) | _labels(plan.listed if lists else plan.labels)
    async with db.read() as read:
        return int((await read.execute(list_statements.count(shape, lists=lists), values)).scalar_one())


def position(row: Any, sort: str) -> list[Any]:
    """The values of `row` after which its next page begins."""
    return [getattr(row, SORTS[sort].column), row.id]


async def _plan(db: Database, wanted: Wanted, sort: str, size: int) -> _Plan:
    counts = {label: await list_sizes.of_label(db, label) for label in wanted.labels} if len(wanted.labels) > 1 else {}
    labels = tuple(sorted(wanted.labels, key=lambda label: counts.get(label, 0)))
    kept = next((label for label in labels if label.startswith(LISTED)), "")
    listed = tuple(sorted(labels, key=lambda label: label != kept))
    plan = _Plan(0, labels, bool(labels), listed, bool(kept))
    by_name = bool(wanted.name_prefix) and sort != "NAME"
    many = len(wanted.owned_by[0]) if wanted.owned_by else 0
    if not by_name and not wanted.no_health and (not many or listed == (kept,) or not labels):
        if not wanted.owned_by:
            return plan
        if many <= FEW_EMPLOYEES:
            return replace(plan, walk=None)
        budget = size * (WALKED_PAGES_OF_A_LABEL if labels else WALKED_PAGES)
        return replace(plan, walk=budget)

    # What else is asked leaves a part of the rows that are met: what that is, decides where reading begins.
    world = await list_sizes.world(db)
    counts = counts or {label: await list_sizes.of_label(db, label) for label in labels}
    parts = {label: world.share(number) for label, number in counts.items()}
    fewest = counts[labels[0]] if labels else world.customers
    seen = world.share(world.owned_by(many)) if wanted.owned_by else 1.0
    part = 1.0
    if by_name:
        named = await list_sizes.of_prefix(db, wanted.name_prefix, wanted.name_prefix + LAST_CHARACTER)
        if named <= min(FEW, fewest):
            of_lists = bool(many) and many * EACH_LIST + named * seen < named + LOOK_UP * min(named, size / seen)
            return replace(plan, walk=None if of_lists else 0, gathered=True)
        part *= world.share(named)
    if wanted.no_health:
        without = await list_sizes.without_health(db)
        if without <= min(FEW, fewest) and not (many and world.owned_by(many) < without):
            return replace(plan, leads=False, gathered=True)
        part *= world.share(without)
    if not wanted.owned_by:
        return plan
    walk = min(fewest, size / (seen * part * prod(parts[label] for label in labels[1:])))
    left = part * prod(parts[label] for label in labels if label != kept)
    merge = min(world.owned_by(many) * parts.get(kept, 1.0), max(size, many * _head(size, many)) / left)
    if merge * LOOK_UP + many * EACH_LIST < walk * LOOK_UP:
        return replace(plan, walk=None)
    budget = ceil(max(LEAST_BUDGET, TIMES_EXPECTED * walk))
    return plan if fewest <= budget else replace(plan, walk=budget)


def _head(size: int, lists: int) -> int:
    """Twice as many rows of each list as a page has on average; a power of two, so that there are few statements."""
    return max(LEAST_HEAD, 2 ** ceil(log2(2 * size / max(lists, 1))))


def _shape(wanted: Wanted, sort: str, size: int) -> Shape:
    return Shape(sort, False, False, wanted.churned, bool(wanted.name_prefix), len(wanted.labels), len(wanted.without),
                 wanted.no_health, len(wanted.owned_by), size)  # fmt: skip


def _values(wanted: Wanted) -> dict[str, Any]:
    prefix = wanted.name_prefix
    sets = {f"set_{n}": Ids.of(employees) for n, employees in enumerate(wanted.owned_by)}
    without = {f"without_{n}": label for n, label in enumerate(wanted.without)}
    return {"today": wanted.today, "prefix": prefix, "prefix_end": prefix + LAST_CHARACTER, **sets, **without}


def _labels(labels: Sequence[str]) -> dict[str, str]:
    return {f"label_{n}": label for n, label in enumerate(labels)}
