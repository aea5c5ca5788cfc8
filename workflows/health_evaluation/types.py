"""What HealthEvaluation, HealthTick and their activities hand each other. Ids, weeks and counts only."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Plan:
    """A planned run: its ranges are numbered from 0."""

    run_id: str
    ranges: int
    rule_set_version: int


@dataclass(frozen=True)
class RangeResult:
    """What a range came to: customers evaluated, and those whose status is another one than in the week before."""

    customers: int
    transitions: int


@dataclass(frozen=True)
class Progress:
    """How far a run is: `next_range` ranges are done; between activities that are all below it."""

    plan: Plan
    next_range: int = 0
    customers: int = 0
    transitions: int = 0
    changed_ranges: list[int] = field(default_factory=list)
    """Ranges with transitions: their alerts are fanned out at the end."""


def with_found(progress: Progress, found: Mapping[int, RangeResult]) -> Progress:
    """The progress with the results of further ranges, by number."""
    return replace(
        progress,
        next_range=progress.next_range + len(found),
        customers=progress.customers + sum(one.customers for one in found.values()),
        transitions=progress.transitions + sum(one.transitions for one in found.values()),
        changed_ranges=[*progress.changed_ranges, *(number for number in sorted(found) if found[number].transitions)],
    )


@dataclass(frozen=True)
class EvaluationOrder:
    """The workflow's input: an ISO week ("2026-W47"), which run of it, and where to go on (None: at the beginning).

    `actor` is the employee who asked for it, empty where it was due by itself.
    """

    week: str
    number: int = 1
    progress: Progress | None = None
    actor: str = ""


@dataclass(frozen=True)
class EvaluationResult:
    """What a run came to."""

    run_id: str
    customers: int
    transitions: int
