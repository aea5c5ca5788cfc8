"""Owners of customers, as the timeline keeps them."""

from dataclasses import dataclass
from datetime import date
from uuid import UUID


@dataclass(frozen=True)
class Ownership:
    """Who owns a customer in a role, from `first` to `last`, both included; the ends of the calendar are open ends."""

    employee_id: UUID
    first: date = date.min
    last: date = date.max

    def text(self) -> str:
        """ "<employee id>", with " from <date>" and " to <date>" where the period has ends."""
        ends = [f" from {self.first}"] if self.first > date.min else []
        ends += [f" to {self.last}"] if self.last < date.max else []
        return str(self.employee_id) + "".join(ends)


def read_ownership(text: str) -> Ownership | None:
    """What Ownership.text wrote; None for "", nobody."""
    if not text:
        return None
    employee_id, *ends = text.split(" ")
    days = {word: date.fromisoformat(day) for word, day in zip(ends[::2], ends[1::2], strict=True)}
    return Ownership(UUID(employee_id), days.get("from", date.min), days.get("to", date.max))
