"""What operators read of a process in Temporal's pages. Pure."""

from workflows.attributes import Wanted
from workflows.business_process.types import ProcessRecord, State
from workflows.names import CUSTOMER_ID, DEFINITION_KEY, DUE_AT, OVERDUE, OWNER_ID, STAGE, THEME_KEY
from workflows.times import in_zone


def summary(definition_name: str, customer_label: str) -> str:
    """The one line by which a process is known, e.g. "Standard delivery · ACME"."""
    return f"{definition_name} · {customer_label}" if customer_label else definition_name


def details(record: ProcessRecord, overdue: bool, zone: str) -> str:
    """Where the process stands, what it waits for and until when, as Markdown."""
    number, stages = record.stage_index + 1, len(record.stages)
    if record.state.ended:
        waits, until = "nothing: it has ended", ""
    elif record.state is State.PAUSED:
        waits, until = "somebody to resume it", "its clock stands still"
    else:
        waits = "its required tasks" if record.stage.advances_by_itself else "somebody to advance it"
        until = in_zone(record.due_at, zone) if record.due_at else "no limit"
    lines = [
        f"**{record.state}** · stage {number} of {stages}: **{record.stage.name}**",
        f"since {in_zone(record.stage_entered_at, zone)}",
        f"waits for {waits}",
        *([f"until {until}{' — **overdue**' if overdue else ''}"] if until else []),
        f"revision {record.revision} · {record.definition_name} v{record.definition_version}",
    ]
    return "  \n".join(lines)


def search_attributes(record: ProcessRecord, overdue: bool) -> Wanted:
    return {
        CUSTOMER_ID: record.customer_id,
        THEME_KEY: record.theme_key,
        DEFINITION_KEY: record.definition_key,
        STAGE: record.stage_key,
        OWNER_ID: record.owner_id,
        DUE_AT: record.due_at,
        OVERDUE: overdue,
    }
