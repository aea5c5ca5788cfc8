"""Definitions of processes: their stages, and what makes one unsound."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.shared.errors import FailedPrecondition, InvalidArgument, Violation


@dataclass(frozen=True)
class StageTask:
    """`assignee_role`: the owner role whose holder gets it; `deadline_offset_days` from entering the stage."""

    key: str
    title: str
    assignee_role: str
    deadline_offset_days: int
    required: bool


@dataclass(frozen=True)
class Stage:
    """`limit_days`: calendar days to stay at most, 0 for no limit."""

    key: str
    name: str
    limit_days: int
    advances_by_itself: bool
    tasks: tuple[StageTask, ...]

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> "Stage":
        """The inverse of dataclasses.asdict."""
        return cls(**{**stored, "tasks": tuple(StageTask(**task) for task in stored["tasks"])})


def check_keys(stages: Sequence[Stage]) -> None:
    """Raises InvalidArgument (KEY_TWICE) at the first stage or task whose key came before."""
    seen: set[str] = set()
    for number, stage in enumerate(stages):
        _once(stage.key, seen, f"stages[{number}].key", "each stage needs a key of its own")
        keys: set[str] = set()
        for position, task in enumerate(stage.tasks):
            _once(task.key, keys, f"stages[{number}].tasks[{position}].key", "each task of a stage needs its own key")


def check_sound(stages: Sequence[Stage]) -> None:
    """Raises FailedPrecondition (DEFINITION_UNSOUND) with everything that would hold processes up."""
    found = list(_unsound(stages))
    if found:
        said = "; ".join(f"{violation.field}: {violation.description}" for violation in found)
        raise FailedPrecondition("DEFINITION_UNSOUND", said, violations=found)


def _unsound(stages: Sequence[Stage]) -> Iterator[Violation]:
    if not stages:
        yield Violation("stages", "a process needs at least one stage")
    for stage in stages:
        if stage.advances_by_itself and not any(task.required for task in stage.tasks):
            yield Violation(stage.key, "it advances by itself, but has no required task whose completion would do it")
        for task in stage.tasks:
            if stage.limit_days and task.deadline_offset_days > stage.limit_days:
                yield Violation(
                    f"{stage.key}/{task.key}",
                    f"due after {task.deadline_offset_days} days, but the stage's limit is {stage.limit_days}",
                )


def _once(key: str, seen: set[str], field: str, rule: str) -> None:
    if key in seen:
        raise InvalidArgument(field, key, rule, reason="KEY_TWICE")
    seen.add(key)
