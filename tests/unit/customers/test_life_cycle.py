"""What was done to a task, a process or an order is read from how it was and how it is."""

import pytest

from services.customers.domain.life_cycle import order_step, process_step, task_step

STAGES = ["kick-off", "training", "go-live"]


def task(state: str = "TODO", deadline: str = "1", assignee: str = "a") -> dict[str, str]:
    return {"state": state, "deadline": deadline, "assignee": assignee}


@pytest.mark.parametrize(
    ("before", "now", "step"),
    [
        (None, task(), "created"),
        (None, task("DONE"), "completed"),
        (task(), task("IN_PROGRESS"), "started"),
        (task(), task(deadline="2"), "postponed"),
        (task(), task(assignee="b"), "reassigned"),
        (task("IN_PROGRESS"), task("DONE"), "completed"),
        (task(), task("CANCELLED"), "cancelled"),
        (task("DONE"), task("IN_PROGRESS", deadline="2"), "reopened"),
        (task(), task(), ""),
    ],
)
def test_steps_of_a_task(before: dict[str, str] | None, now: dict[str, str], step: str) -> None:
    assert task_step(before, now) == step


def process(state: str = "RUNNING", stage: str = "training", owner: str = "a") -> dict[str, str]:
    return {"state": state, "stage": stage, "owner": owner}


@pytest.mark.parametrize(
    ("before", "now", "step"),
    [
        (None, process(), "started"),
        (process(), process(stage="go-live"), "advanced"),
        (process(), process(stage="kick-off"), "returned"),
        (process(), process("PAUSED"), "paused"),
        (process("PAUSED"), process(), "resumed"),
        (process(), process("COMPLETED"), "completed"),
        (process("PAUSED"), process("TERMINATED"), "terminated"),
        (process(), process(owner="b"), "reassigned"),
        (process(), process(), ""),
        (process(stage="gone from the definition"), process(), "advanced"),
    ],
)
def test_steps_of_a_process(before: dict[str, str] | None, now: dict[str, str], step: str) -> None:
    assert process_step(before, now, STAGES) == step


@pytest.mark.parametrize(
    ("before", "now", "step"),
    [
        (None, {"status": "DRAFT"}, "drafted"),
        (None, {"status": "EFFECTIVE"}, "confirmed"),
        ({"status": "DRAFT"}, {"status": "EFFECTIVE"}, "confirmed"),
        ({"status": "EFFECTIVE"}, {"status": "VOID"}, "voided"),
        ({"status": "EFFECTIVE", "amount": "1"}, {"status": "EFFECTIVE", "amount": "2"}, "changed"),
        ({"status": "EFFECTIVE"}, {"status": "EFFECTIVE"}, ""),
    ],
)
def test_steps_of_an_order(before: dict[str, str] | None, now: dict[str, str], step: str) -> None:
    assert order_step(before, now) == step
