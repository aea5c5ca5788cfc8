"""What was done to a task, a process or an order, by how it was before and how it is now.

Facts are words by name, as other services' events tell them; None before stands for what was not known of.
"""

from collections.abc import Mapping, Sequence

Facts = Mapping[str, str]

_TASK = {"TODO": "created", "IN_PROGRESS": "started", "DONE": "completed", "CANCELLED": "cancelled"}
_PROCESS = {"RUNNING": "started", "PAUSED": "paused", "COMPLETED": "completed", "TERMINATED": "terminated"}
_ORDER = {"DRAFT": "drafted", "EFFECTIVE": "confirmed", "VOID": "voided"}


def task_step(before: Facts | None, now: Facts) -> str:
    """What was done to a task: a word, "" where nothing that its customer's timeline tells."""
    if before is None:
        return _TASK[now["state"]]
    if before["state"] != now["state"]:
        is_reopened = before["state"] in ("DONE", "CANCELLED") and now["state"] in ("TODO", "IN_PROGRESS")
        return "reopened" if is_reopened else _TASK[now["state"]]
    if before["deadline"] != now["deadline"]:
        return "postponed"
    return "reassigned" if before["assignee"] != now["assignee"] else ""


def process_step(before: Facts | None, now: Facts, stages: Sequence[str]) -> str:
    """As task_step, of a process whose definition has these stages in their order."""
    if before is None:
        return _PROCESS[now["state"]]
    if before["state"] != now["state"]:
        return "resumed" if now["state"] == "RUNNING" else _PROCESS[now["state"]]
    if before["stage"] != now["stage"]:
        return "returned" if before["stage"] in stages[stages.index(now["stage"]) :] else "advanced"
    return "reassigned" if before["owner"] != now["owner"] else ""


def order_step(before: Facts | None, now: Facts) -> str:
    """As task_step, of an order."""
    if before is None or before["status"] != now["status"]:
        return _ORDER[now["status"]]
    return "changed" if before != now else ""
