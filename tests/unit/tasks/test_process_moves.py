"""Where the actions lead a process."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.errors import FailedPrecondition, InvalidArgument, Refusal
from services.tasks.domain.definition import Stage, StageTask, check_keys, check_sound
from services.tasks.domain.process import ProcessAction, ProcessState, StageProgress, Standing, moved, started

ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
KEYS = ["one", "two", "three", "four"]
AHEAD, CURRENT, DONE, SKIPPED = StageProgress
STEPS = st.tuples(
    st.sampled_from([action for action in ProcessAction if action != ProcessAction.START]),
    st.sampled_from(["", "nowhere", *KEYS]),
    st.timedeltas(timedelta(0), timedelta(days=30)),
)


def a_stage(key: str, *tasks: StageTask, limit_days: int = 0, advances_by_itself: bool = False) -> Stage:
    return Stage(key, key, limit_days, advances_by_itself, tasks)


def a_task(key: str, *, days: int = 1, required: bool = True) -> StageTask:
    return StageTask(key, key, "", days, required)


STAGES = [a_stage(key, limit_days=3 * number) for number, key in enumerate(KEYS)]


def check(standing: Standing) -> None:
    """What holds of every process at every moment."""
    here = KEYS.index(standing.stage_key)
    before, now, after = standing.progress[:here], standing.progress[here], standing.progress[here + 1 :]
    assert set(before) <= {DONE, SKIPPED}
    assert now == (DONE if standing.state == ProcessState.COMPLETED else CURRENT)
    assert set(after) <= {AHEAD}
    assert (standing.paused_at is not None) == (standing.state == ProcessState.PAUSED)
    assert (standing.ended_at is not None) == (standing.state in (ProcessState.COMPLETED, ProcessState.TERMINATED))
    assert (standing.stage_due_at is not None) == bool(STAGES[here].limit_days)


@given(st.lists(STEPS, max_size=30), st.booleans())
def test_no_sequence_of_actions_breaks_what_holds_of_every_process(
    steps: list[tuple[ProcessAction, str, timedelta]], allows_skipping: bool
) -> None:
    now = NOW
    standing = started(STAGES, now, ZONE)
    for action, to, later in steps:
        now += later
        try:
            after = moved(standing, action, to, STAGES, allows_skipping=allows_skipping, now=now, zone=ZONE)
        except Refusal:
            continue
        check(after)
        assert standing.ended_at is None
        if not allows_skipping:
            assert SKIPPED not in after.progress
        standing = after


@given(st.timedeltas(timedelta(0), timedelta(days=400)), st.timedeltas(timedelta(0), timedelta(days=400)))
def test_a_pause_costs_no_time(worked: timedelta, held: timedelta) -> None:
    stage = [a_stage("one", limit_days=5)]
    standing = started(stage, NOW, ZONE)
    paused = moved(standing, ProcessAction.PAUSE, "", stage, allows_skipping=False, now=NOW + worked, zone=ZONE)
    resumed = moved(paused, ProcessAction.RESUME, "", stage, allows_skipping=False, now=NOW + worked + held, zone=ZONE)
    assert standing.stage_due_at is not None
    assert resumed.stage_due_at == standing.stage_due_at + held
    assert resumed.stage_entered_at == NOW


def test_a_stage_is_due_at_the_end_of_a_business_day() -> None:
    assert started([a_stage("one", limit_days=2)], NOW, ZONE).stage_due_at == datetime(2026, 11, 24, 16, tzinfo=UTC)


def test_a_stage_makes_no_sense_where_the_action_leads_to_none() -> None:
    standing = started(STAGES, NOW, ZONE)
    with pytest.raises(InvalidArgument) as refusal:
        moved(standing, ProcessAction.PAUSE, "two", STAGES, allows_skipping=True, now=NOW, zone=ZONE)
    assert refusal.value.violations[0].field == "to_stage_key"


@pytest.mark.parametrize(
    ("stages", "subjects"),
    [
        ([], ["stages"]),
        ([a_stage("a", a_task("x", required=False), advances_by_itself=True)], ["a"]),
        (
            [a_stage("a", a_task("x"), advances_by_itself=True), a_stage("b", a_task("y", days=4), limit_days=3)],
            ["b/y"],
        ),
        ([a_stage("a", a_task("x", days=3), limit_days=3)], []),
        ([a_stage("a", a_task("x", days=700))], []),
    ],
)
def test_what_would_hold_processes_up_is_found(stages: list[Stage], subjects: list[str]) -> None:
    if not subjects:
        check_sound(stages)
        return
    with pytest.raises(FailedPrecondition) as refusal:
        check_sound(stages)
    assert [violation.field for violation in refusal.value.violations] == subjects


def test_the_same_task_key_may_stand_in_two_stages() -> None:
    check_keys([a_stage("a", a_task("x")), a_stage("b", a_task("x"))])
    with pytest.raises(InvalidArgument):
        check_keys([a_stage("a", a_task("x"), a_task("x"))])
