"""What BusinessProcess, its activities and ProcessesService hand each other. No text that a person wrote."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Action(StrEnum):
    """What can be done to a process; START has its own update."""

    ADVANCE = "ADVANCE"
    RETURN = "RETURN"
    PAUSE = "PAUSE"
    RESUME = "RESUME"
    TERMINATE = "TERMINATE"


class State(StrEnum):
    """Where a process stands."""

    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    TERMINATED = "TERMINATED"

    @property
    def ended(self) -> bool:
        return self in (State.COMPLETED, State.TERMINATED)


@dataclass(frozen=True)
class StageRecord:
    """A stage as a process has it; `progress` is AHEAD, CURRENT, DONE or SKIPPED."""

    key: str
    name: str
    progress: str
    limit_days: int
    advances_by_itself: bool


@dataclass(frozen=True)
class ProcessRecord:
    """The row of a process, as kejing.tasks.v1.Process has it."""

    id: str
    customer_id: str
    customer_label: str
    definition_id: str
    definition_key: str
    definition_version: int
    definition_name: str
    theme_key: str
    state: State
    stage_key: str
    stages: list[StageRecord]
    stage_entered_at: datetime
    stage_due_at: datetime | None
    owner_id: str
    revision: int
    started_at: datetime
    ended_at: datetime | None
    allows_skipping: bool
    first_owner_id: str = ""
    """Empty in what a workflow of the release before remembers."""

    @property
    def due_at(self) -> datetime | None:
        """When the present stage's time is up; None without a limit, and while its clock stands still."""
        return self.stage_due_at if self.state is State.RUNNING else None

    @property
    def stage_index(self) -> int:
        """Where the present stage stands among the stages, from 0."""
        return next(index for index, stage in enumerate(self.stages) if stage.key == self.stage_key)

    @property
    def stage(self) -> StageRecord:
        return self.stages[self.stage_index]


@dataclass(frozen=True)
class StartOrder:
    """A person's order to start a process; carried out only before `expires_at`. `actor`, `acting_for`: as in Order."""

    customer_id: str
    definition_key: str
    owner_id: str
    actor: str
    expires_at: datetime
    acting_for: str = ""


@dataclass(frozen=True)
class Order:
    """A person's order to a process.

    `action_id` names it for ever: it takes effect once. `fingerprint` tells another request under the same id.
    `to_stage_key` is for ADVANCE (empty: the next stage) and RETURN. `actor` is the employee's id, `acting_for` that of
    the absent colleague for whom he ordered as a deputy (empty: for nobody).
    """

    action_id: str
    fingerprint: str
    actor: str
    expires_at: datetime
    to_stage_key: str = ""
    acting_for: str = ""


@dataclass(frozen=True)
class TaskClosed:
    """A required task of the process was completed."""

    task_id: str
    stage_key: str
    version: int


@dataclass(frozen=True)
class ProcessInput:
    """The workflow's input.

    Without `record` the process is opened by the update `start` that comes with the workflow's own start, or, with
    `load`, from its row. `seen` holds the latest actions that took effect, id → fingerprint. `task_closed` remembers
    that a required task of the present stage was completed.
    """

    process_id: str
    zone: str
    load: bool = False
    record: ProcessRecord | None = None
    seen: dict[str, str] = field(default_factory=dict)
    task_closed: bool = False


@dataclass(frozen=True)
class Transition:
    """A transition to record; `actor` and `acting_for` are the order's, empty where the process moves on by itself."""

    process_id: str
    expected_revision: int
    action_id: str
    action: Action
    to_stage_key: str
    actor: str
    acting_for: str = ""


@dataclass(frozen=True)
class Recorded:
    """What came of a transition: without `recorded` the row was another one than expected, and nothing was done."""

    recorded: bool
    record: ProcessRecord
