"""Processes: which actions are allowed when, and where they lead."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from services.shared.clock import business_date, end_of_day
from services.shared.errors import FailedPrecondition, InvalidArgument, NotFound, Violation
from services.tasks.domain.definition import Stage


class ProcessState(StrEnum):
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    TERMINATED = "TERMINATED"


class ProcessAction(StrEnum):
    START = "START"
    ADVANCE = "ADVANCE"
    RETURN = "RETURN"
    PAUSE = "PAUSE"
    RESUME = "RESUME"
    TERMINATE = "TERMINATE"


class StageProgress(StrEnum):
    AHEAD = "AHEAD"
    CURRENT = "CURRENT"
    DONE = "DONE"
    SKIPPED = "SKIPPED"


ALLOWED: dict[ProcessAction, tuple[ProcessState, ...]] = {
    ProcessAction.ADVANCE: (ProcessState.RUNNING,),
    ProcessAction.RETURN: (ProcessState.RUNNING,),
    ProcessAction.PAUSE: (ProcessState.RUNNING,),
    ProcessAction.RESUME: (ProcessState.PAUSED,),
    ProcessAction.TERMINATE: (ProcessState.RUNNING, ProcessState.PAUSED),
}
NEEDS_REASON = frozenset({ProcessAction.RETURN, ProcessAction.PAUSE, ProcessAction.TERMINATE})


@dataclass(frozen=True)
class Standing:
    """Where a process stands. `progress` has one entry a stage; instants are UTC.

    `stage_due_at` is kept while the process is paused and moved by the pause's length when it is taken up again.
    """

    state: ProcessState
    stage_key: str
    progress: tuple[StageProgress, ...]
    stage_entered_at: datetime
    stage_due_at: datetime | None
    paused_at: datetime | None = None
    ended_at: datetime | None = None


def deadline_day_end(entered_at: datetime, days: int, zone: ZoneInfo) -> datetime:
    """The end of the business date `days` calendar days after the one on which the stage was entered."""
    return end_of_day(business_date(entered_at, zone) + timedelta(days=days), zone)


def started(stages: Sequence[Stage], now: datetime, zone: ZoneInfo) -> Standing:
    """A new process: in its first stage."""
    ahead = Standing(ProcessState.RUNNING, "", (StageProgress.AHEAD,) * len(stages), now, None)
    return _enter(ahead, stages, 0, now, zone)


def moved(
    standing: Standing,
    action: ProcessAction,
    to_stage_key: str,
    stages: Sequence[Stage],
    *,
    allows_skipping: bool,
    now: datetime,
    zone: ZoneInfo,
) -> Standing:
    """Where the process stands after `action`.

    Raises FailedPrecondition: PROCESS_STATE, STAGE_ORDER, SKIPPING_NOT_ALLOWED; NotFound: STAGE_NOT_FOUND;
    InvalidArgument for a stage that is missing (RETURN) or makes no sense (PAUSE, RESUME, TERMINATE).
    """
    if standing.state not in ALLOWED[action]:
        raise FailedPrecondition(
            "PROCESS_STATE",
            f"{action} is not allowed while the process is {standing.state}; it must be {' or '.join(ALLOWED[action])}",
            state=standing.state,
        )
    if to_stage_key and action not in (ProcessAction.ADVANCE, ProcessAction.RETURN):
        raise InvalidArgument("to_stage_key", to_stage_key, f"{action} leads to no other stage; leave it empty")
    match action:
        case ProcessAction.ADVANCE:
            return _advanced(standing, to_stage_key, stages, allows_skipping, now, zone)
        case ProcessAction.RETURN:
            return _returned(standing, to_stage_key, stages, now, zone)
        case ProcessAction.PAUSE:
            return replace(standing, state=ProcessState.PAUSED, paused_at=now)
        case ProcessAction.RESUME:
            paused_for = now - (standing.paused_at or now)
            due_at = standing.stage_due_at and standing.stage_due_at + paused_for
            return replace(standing, state=ProcessState.RUNNING, paused_at=None, stage_due_at=due_at)
        case _:
            return replace(standing, state=ProcessState.TERMINATED, paused_at=None, ended_at=now)


def check_required_done(open_tasks: Sequence[tuple[str, str]]) -> None:
    """`open_tasks`: (id, title) of the stage's required tasks that are open.

    Raises FailedPrecondition (REQUIRED_TASKS_OPEN), whose violations name each task.
    """
    if open_tasks:
        raise FailedPrecondition(
            "REQUIRED_TASKS_OPEN",
            f"the stage has {len(open_tasks)} required tasks that are open",
            violations=[Violation(task_id, title) for task_id, title in open_tasks],
        )


def index_of(stages: Sequence[Stage], key: str) -> int:
    """The stage's position. Raises NotFound (STAGE_NOT_FOUND)."""
    for index, stage in enumerate(stages):
        if stage.key == key:
            return index
    raise NotFound("stage", key)


def _advanced(
    standing: Standing, to_stage_key: str, stages: Sequence[Stage], allows_skipping: bool, now: datetime, zone: ZoneInfo
) -> Standing:
    here = index_of(stages, standing.stage_key)
    there = index_of(stages, to_stage_key) if to_stage_key else here + 1
    if there <= here:
        raise FailedPrecondition("STAGE_ORDER", f"{to_stage_key} does not lie ahead of {standing.stage_key}")
    if there > here + 1 and not allows_skipping:
        raise FailedPrecondition(
            "SKIPPING_NOT_ALLOWED", f"the next stage is {stages[here + 1].key}; the definition allows no skipping"
        )
    progress = list(standing.progress)
    progress[here] = StageProgress.DONE
    progress[here + 1 : there] = [StageProgress.SKIPPED] * (there - here - 1)
    left = replace(standing, progress=tuple(progress))
    if there == len(stages):
        return replace(left, state=ProcessState.COMPLETED, ended_at=now)
    return _enter(left, stages, there, now, zone)


def _returned(
    standing: Standing, to_stage_key: str, stages: Sequence[Stage], now: datetime, zone: ZoneInfo
) -> Standing:
    if not to_stage_key:
        raise InvalidArgument("to_stage_key", "", "name the earlier stage to return to")
    here, there = index_of(stages, standing.stage_key), index_of(stages, to_stage_key)
    if there >= here:
        raise FailedPrecondition("STAGE_ORDER", f"{to_stage_key} does not lie before {standing.stage_key}")
    progress = (*standing.progress[:there], *([StageProgress.AHEAD] * (len(stages) - there)))
    return _enter(replace(standing, progress=progress), stages, there, now, zone)


def _enter(standing: Standing, stages: Sequence[Stage], index: int, now: datetime, zone: ZoneInfo) -> Standing:
    stage = stages[index]
    progress = (*standing.progress[:index], StageProgress.CURRENT, *standing.progress[index + 1 :])
    due_at = deadline_day_end(now, stage.limit_days, zone) if stage.limit_days else None
    return replace(standing, stage_key=stage.key, progress=progress, stage_entered_at=now, stage_due_at=due_at)
