"""What workflow ids look like."""

from workflows.names import alerts_workflow, health_workflow, process_workflow, task_workflow


def test_ids_say_what_they_are_about() -> None:
    assert [task_workflow("1"), process_workflow("1")] == ["task/1", "process/1"]
    assert [health_workflow("2026-W47"), health_workflow("2026-W47", 2)] == ["health/2026-W47", "health/2026-W47/2"]
    assert alerts_workflow("run", "3") == "alerts/run/3"
