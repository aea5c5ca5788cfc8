"""What CustomersDay, CustomersDayTick and their activities hand each other. Dates, tokens and counts only."""

from dataclasses import dataclass
from enum import StrEnum


class Part(StrEnum):
    """What is done on a day, in this order."""

    CHURN = "CHURN"
    SEGMENTS = "SEGMENTS"
    FINISH = "FINISH"


@dataclass(frozen=True)
class DayOrder:
    """The workflow's input: a business date ("2026-11-23") and where to go on.

    `newest`: no later day is due; only then segments are looked at, since they are as of now. `page_token` is that of
    `part`; `noticed` and `changed` count what was done so far.
    """

    day: str
    newest: bool = True
    part: Part = Part.CHURN
    page_token: str = ""
    noticed: int = 0
    changed: int = 0


@dataclass(frozen=True)
class PartDone:
    """What a step did: customers who churned, or who came into a segment or left one; "": nothing is left of its
    part."""

    count: int
    next_page_token: str


@dataclass(frozen=True)
class DayResult:
    """What a day came to: customers who churned, and those who came into a segment or left one."""

    noticed: int
    changed: int
