"""Which action a process allows now. Pure.

The same rules as the row's owner has them, on what the workflow knows: so a wrong order is refused at once and leaves
no trace. What only the owner knows (open tasks) the owner decides.
"""

from dataclasses import dataclass

from workflows.business_process.types import Action, ProcessRecord, State

FROM_STATES = {
    Action.ADVANCE: (State.RUNNING,),
    Action.RETURN: (State.RUNNING,),
    Action.PAUSE: (State.RUNNING,),
    Action.RESUME: (State.PAUSED,),
    Action.TERMINATE: (State.RUNNING, State.PAUSED),
}


@dataclass(frozen=True)
class Objection:
    """Why an action is not allowed: name of the status code, stable reason, a sentence."""

    code: str
    reason: str
    message: str


def objection(record: ProcessRecord, action: Action, to_stage_key: str) -> Objection | None:
    """Why `action` is not allowed now, or None where it is.

    Args:
        to_stage_key: where ADVANCE (empty: the next stage) or RETURN goes.
    """
    if record.state not in FROM_STATES[action]:
        allowed = " or ".join(FROM_STATES[action])
        return _not_now("PROCESS_STATE", f"the process is {record.state}; {action} needs it to be {allowed}")
    if action is Action.RETURN or (action is Action.ADVANCE and to_stage_key):
        return _wrong_target(record, action, to_stage_key)
    return None


def _wrong_target(record: ProcessRecord, action: Action, to_stage_key: str) -> Objection | None:
    keys = [stage.key for stage in record.stages]
    if to_stage_key not in keys:
        return Objection("NOT_FOUND", "STAGE_NOT_FOUND", f"no stage {to_stage_key}; there are {', '.join(keys)}")
    steps = keys.index(to_stage_key) - record.stage_index
    if action is Action.RETURN and steps >= 0:
        return _not_now("STAGE_ORDER", f"{to_stage_key} is not before {record.stage_key}, where the process is")
    if action is Action.ADVANCE and steps <= 0:
        return _not_now("STAGE_ORDER", f"{to_stage_key} is not after {record.stage_key}, where the process is")
    if action is Action.ADVANCE and steps > 1 and not record.allows_skipping:
        return _not_now("SKIPPING_NOT_ALLOWED", f"between {record.stage_key} and {to_stage_key} lie other stages")
    return None


def _not_now(reason: str, message: str) -> Objection:
    return Objection("FAILED_PRECONDITION", reason, message)
