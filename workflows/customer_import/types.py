"""What CustomerImport and its activity hand each other. Names of systems, states and counts; nothing of the file."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Where an import stands: an ImportState of the contract without its prefix."""

    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    DONE = "DONE"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


ENDED = frozenset({State.DONE, State.CANCELLED, State.FAILED})


@dataclass(frozen=True)
class ImportOrder:
    """The workflow's input: the import. How far it is says its row."""

    import_id: str


@dataclass(frozen=True)
class Step:
    """How an import stands after a step. `size` and `bytes_read` in bytes, `worked_seconds` without pauses and outages,
    `kind` as the contract has it without its prefix."""

    state: State
    kind: str
    source: str
    size: int
    bytes_read: int
    rows_read: int
    created: int
    updated: int
    unchanged: int
    superseded: int
    rejected: int
    worked_seconds: float
