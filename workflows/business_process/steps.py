"""The steps that a process takes outside: calls of activities, how they fail, and how operators read them."""

from datetime import datetime, timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from workflows.business_process.types import Action, ProcessRecord
from workflows.policies import ATTEMPT, PATIENT, PROMPT

Result = TypeVar("Result")


class Unanswered(Exception):
    """A service did not answer while the order was good: it may have acted, or not."""


async def call(name: str, *args: object, result: type[Result], summary: str, until: datetime | None = None) -> Result:
    """The answer of an activity; patient, or prompt where a person waits `until` the order expires.

    Raises:
        ApplicationError: the service refused.
        Unanswered: no answer came in time.
    """
    left = None if until is None else max(until - workflow.now(), timedelta(seconds=1))
    try:
        answer: Result = await workflow.execute_activity(
            name,
            args=args,
            result_type=result,
            start_to_close_timeout=ATTEMPT,
            schedule_to_close_timeout=left,
            retry_policy=PATIENT if until is None else PROMPT,
            summary=summary,
        )
    except ActivityError as error:
        cause = error.cause
        if isinstance(cause, ApplicationError) and cause.non_retryable:
            raise ApplicationError(cause.message, *cause.details, type=cause.type, non_retryable=True) from None
        raise Unanswered from None
    return answer


def refusal(code: str, reason: str, message: str, revision: int = 0) -> ApplicationError:
    """What a caller is told; `revision` is what the workflow knew of the row when it refused by its own rules."""
    return ApplicationError(message, code, revision, type=reason, non_retryable=True)


def step_summary(record: ProcessRecord, action: Action, to_stage_key: str) -> str:
    """What operators read on the transition's activity, e.g. "enter 需求梳理"."""
    if action in (Action.PAUSE, Action.RESUME, Action.TERMINATE):
        return f"{action.lower()} in {record.stage.name}"
    if to_stage_key:
        return f"enter {next(stage.name for stage in record.stages if stage.key == to_stage_key)}"
    following = record.stages[record.stage_index + 1 :]
    return f"enter {following[0].name}" if following else "complete"
