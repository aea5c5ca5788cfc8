"""The tables of the tasks service. Keys and indexes are the migrations'; here is what queries name.

Those that are bound to a customer name the column by which they are (services.shared.access.scope). What hangs on a
task or a process names that column, and is read only once its task or process was found in scope.
"""

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Integer, MetaData, Table, Text, Time, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData()


def _instant(name: str) -> "Column[object]":
    return Column(name, DateTime(timezone=True))


themes = Table(
    "themes",
    metadata,
    Column("key", Text, primary_key=True),
    Column("name", Text),
    Column("color", Text),
    Column("active", Boolean),
)

# What customers tells; label is what operators read.
customers = Table(
    "customers",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("label", Text),
    Column("version", BigInteger),
    info={"customer": "id"},
)

process_definitions = Table(
    "process_definitions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("key", Text),
    Column("version", Integer),
    Column("name", Text),
    Column("theme_key", Text),
    Column("state", Text),
    Column("stages", JSONB),
    Column("allows_skipping", Boolean),
    _instant("created_at"),
    _instant("published_at"),
)

processes = Table(
    "processes",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("customer_id", Uuid),
    Column("definition_id", Uuid),
    Column("definition_key", Text),
    Column("state", Text),
    Column("stage_key", Text),
    Column("progress", ARRAY(Text)),
    _instant("stage_entered_at"),
    _instant("stage_due_at"),
    _instant("paused_at"),
    Column("owner_id", Uuid),
    Column("first_owner_id", Uuid),
    Column("revision", BigInteger),
    _instant("started_at"),
    _instant("ended_at"),
    info={"customer": "customer_id"},
)

process_transitions = Table(
    "process_transitions",
    metadata,
    Column("process_id", Uuid, primary_key=True),
    Column("revision", BigInteger, primary_key=True),
    Column("action_id", Text),
    Column("action", Text),
    Column("from_stage_key", Text),
    Column("to_stage_key", Text),
    Column("reason", Text),
    Column("actor", Text),
    _instant("occurred_at"),
    info={"customer": "process_id"},
)

kept_reasons = Table(
    "kept_reasons",
    metadata,
    Column("action_id", Text, primary_key=True),
    Column("reason", Text),
    _instant("kept_at"),
)

# armed_at: when the present deadline was set; reminders are due only after it.
# next_notice_at: when the first notice of an open task is due that was not given; null when all were, or it is closed.
tasks = Table(
    "tasks",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("customer_id", Uuid),
    Column("title", Text),
    Column("theme_key", Text),
    Column("assignee_id", Uuid),
    Column("priority", Text),
    Column("deadline_date", Date),
    Column("deadline_time", Time),
    _instant("deadline_at"),
    _instant("armed_at"),
    Column("description", Text),
    Column("origin", Text),
    Column("process_id", Uuid),
    Column("stage_key", Text),
    Column("required", Boolean),
    Column("state", Text),
    Column("version", BigInteger),
    Column("created_by", Text),
    _instant("created_at"),
    _instant("closed_at"),
    Column("closed_by", Text),
    Column("cancel_reason", Text),
    _instant("original_deadline_at"),
    Column("postponement_count", Integer),
    _instant("overdue_noticed_for"),
    _instant("next_notice_at"),
    info={"customer": "customer_id"},
)

postponements = Table(
    "postponements",
    metadata,
    Column("task_id", Uuid, primary_key=True),
    Column("number", Integer, primary_key=True),
    _instant("from_deadline_at"),
    _instant("to_deadline_at"),
    Column("reason", Text),
    Column("postponed_by", Text),
    _instant("postponed_at"),
    info={"customer": "task_id"},
)

task_notices = Table(
    "task_notices",
    metadata,
    Column("task_id", Uuid, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("due_at", DateTime(timezone=True), primary_key=True),
    Column("deadline_at", DateTime(timezone=True), primary_key=True),
    _instant("noticed_at"),
    info={"customer": "task_id"},
)

# author_id: who wrote it; on_behalf_of_id: the absent colleague for whom a deputy did.
follow_ups = Table(
    "follow_ups",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("customer_id", Uuid),
    Column("theme_key", Text),
    _instant("occurred_at"),
    _instant("recorded_at"),
    Column("channel", Text),
    Column("content", Text),
    Column("customer_feedback", Text),
    Column("next_step", Text),
    Column("task_id", Uuid),
    Column("author_id", Uuid),
    Column("on_behalf_of_id", Uuid),
    info={"customer": "customer_id"},
)
