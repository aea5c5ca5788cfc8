"""What operators read of an evaluation. Pure."""

from workflows.health_evaluation.types import Progress


def summary(week: str, number: int) -> str:
    """One line that names the run."""
    return f"Health of {week}" if number == 1 else f"Health of {week}, run {number}"


def details(week: str, number: int, progress: Progress | None) -> str:
    """How far the run is, as Markdown."""
    if progress is None:
        return f"**{summary(week, number)}**: being planned"
    plan = progress.plan
    return (
        f"**{summary(week, number)}** by rule set version {plan.rule_set_version}\n\n"
        f"- ranges done: {progress.next_range} of {plan.ranges}\n"
        f"- customers evaluated: {progress.customers}\n"
        f"- changed since the week before: {progress.transitions}\n"
    )
