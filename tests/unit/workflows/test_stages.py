"""The workflow's rules are those of the row's owner."""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from services.shared.errors import Refusal
from services.tasks.domain.definition import Stage
from services.tasks.domain.process import ProcessAction, ProcessState, StageProgress, Standing, moved
from tests.workflows.stand_ins import a_process
from workflows.business_process.display import details
from workflows.business_process.records import to_process, to_record
from workflows.business_process.stages import objection
from workflows.business_process.types import Action, ProcessRecord, State

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")
KEYS = ["s0", "s1", "s2", "s3"]


def owners_reason(record: ProcessRecord, action: Action, to_stage_key: str) -> str | None:
    """Why the row's owner refuses; None where it doesn't."""
    stages = [Stage(stage.key, stage.name, 0, False, ()) for stage in record.stages]
    progress = tuple(StageProgress.AHEAD for _ in stages)
    standing = Standing(ProcessState(record.state), record.stage_key, progress, NOW, None)
    try:
        moved(standing, ProcessAction(action), to_stage_key, stages, allows_skipping=record.allows_skipping,
              now=NOW, zone=ZONE)  # fmt: skip
    except Refusal as refusal:
        return refusal.reason
    return None


@given(
    st.sampled_from(State), st.sampled_from(KEYS), st.booleans(), st.sampled_from(Action), st.sampled_from([*KEYS, "x"])
)
def test_both_refuse_the_same_for_the_same_reason(
    state: State, stage_key: str, skipping: bool, action: Action, target: str
) -> None:
    record = a_process(state=state, stage_key=stage_key, allows_skipping=skipping)
    to_stage_key = target if action in (Action.ADVANCE, Action.RETURN) else ""
    mine = objection(record, action, to_stage_key)
    assert (mine and mine.reason) == owners_reason(record, action, to_stage_key)


@given(st.sampled_from(State), st.sampled_from(KEYS), st.booleans())
def test_the_next_stage_needs_no_name(state: State, stage_key: str, skipping: bool) -> None:
    record = a_process(state=state, stage_key=stage_key, allows_skipping=skipping)
    assert (objection(record, Action.ADVANCE, "") is None) == (state is State.RUNNING)


def test_a_record_is_the_row_and_back() -> None:
    record = replace(a_process(stage_due_at=NOW), ended_at=NOW, state=State.TERMINATED)
    assert to_record(to_process(record)) == record
    assert to_record(to_process(a_process(started_at=NOW))).stage_due_at is None


def test_details_say_where_it_stands_what_it_waits_for_and_until_when() -> None:
    record = a_process(stage_key="s1", stage_due_at=NOW, revision=7)
    text = details(record, True, "Asia/Shanghai")
    assert "stage 2 of 4: **阶段1**" in text
    assert "waits for its required tasks" in text
    assert "until 2026-11-22 18:00 Asia/Shanghai — **overdue**" in text
    assert "revision 7" in text
    assert "its clock stands still" in details(replace(record, state=State.PAUSED), False, "Asia/Shanghai")
