"""Who owns what and who works where, and the customers that somebody sees by the words of the definition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from services.shared.clock import business_date, utc_now


def business_today() -> date:
    return business_date(utc_now(), ZoneInfo("Asia/Shanghai"))


@dataclass(frozen=True)
class Ownership:
    """Who owns a customer in a role, and on which business dates."""

    employee: int
    first: date
    last: date

    def holds(self, today: date) -> bool:
        return self.first <= today <= self.last


@dataclass(frozen=True)
class Plan:
    """Department i lies below `parents[i]` (an earlier one, or -1: the company); employee i works in `places[i]` and
    sees by `scopes[i]`; `owners` by (customer, role)."""

    parents: Sequence[int]
    places: Sequence[int]
    scopes: Sequence[str]
    owners: Mapping[tuple[int, str], Ownership]

    def in_scope(self, employee: int, customers: int, today: date) -> set[int]:
        """The customers that the employee sees, by the words of the definition."""
        if self.scopes[employee] == "ALL":
            return set(range(customers))
        mine = {employee}
        if self.scopes[employee] == "DEPARTMENT":
            mine = {other for other, place in enumerate(self.places) if self._below(place, self.places[employee])}
        return {
            customer for (customer, _), owner in self.owners.items() if owner.holds(today) and owner.employee in mine
        }

    def _below(self, department: int, above: int) -> bool:
        while department != above and department >= 0:
            department = self.parents[department]
        return department == above
