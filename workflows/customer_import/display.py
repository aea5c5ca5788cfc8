"""What operators read of an import. Pure."""

from workflows.customer_import.types import State, Step


def summary(import_id: str) -> str:
    """One line that names the import."""
    return f"Import {import_id}"


def details(step: Step) -> str:
    """How far the import is, as Markdown."""
    written = step.created + step.updated
    return (
        f"**{step.kind.capitalize()} from {step.source}**: {told(step)}\n\n"
        f"- rows read: {step.rows_read:,}\n"
        f"- written: {written:,} ({step.created:,} new), said what was known: {step.unchanged:,}\n"
        f"- rejected: {step.rejected:,}, replaced by a later row: {step.superseded:,}\n"
        f"- at work for {step.worked_seconds:,.0f} s{speed(step)}\n"
    )


def told(step: Step) -> str:
    """Where it stands: its state, and how much is done where it has not ended."""
    word = step.state.lower()
    return f"{word}, {percent(step)} %" if step.state in (State.RUNNING, State.PAUSED) else word


def percent(step: Step) -> int:
    """How much is done, rounded down: reading and checking the file is one half, writing the other."""
    if not step.size:
        return 0
    read = min(1.0, step.bytes_read / step.size)
    settled = step.created + step.updated + step.unchanged + step.superseded + step.rejected
    return int(50 * (read + (settled / step.rows_read if read == 1 and step.rows_read else 0)))


def speed(step: Step) -> str:
    return f", {step.rows_read / step.worked_seconds:,.0f} rows/s" if step.worked_seconds else ""
