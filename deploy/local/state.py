"""What runs where, as the supervisor writes it to run/state.json and the commands read it."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from deploy.local.home import write_private


@dataclass
class Part:
    """One part of the stack.

    Attributes:
        state: waiting | starting | ready | silent (runs, but doesn't answer) | restarting | done (a step that ended
            well) | failed | stopped.
        pid: None while it doesn't run.
        created: when that process was created, seconds since the epoch.
        addresses: what for → host:port.
        restarts: how often it was started again since `up`.
        reason: why it is not ready; may hold the end of its log.
    """

    name: str
    state: str = "waiting"
    pid: int | None = None
    created: float | None = None
    addresses: dict[str, str] = field(default_factory=dict)
    restarts: int = 0
    reason: str = ""

    @property
    def ready(self) -> bool:
        return self.state in ("ready", "done")


@dataclass
class State:
    """The stack of one home.

    Attributes:
        state: starting | ready | stopping | stopped | failed.
        pid: of the supervisor.
        created: when that process was created, seconds since the epoch.
        reason: why it failed.
    """

    state: str
    pid: int
    created: float
    parts: list[Part]
    reason: str = ""

    @property
    def ready(self) -> bool:
        return self.state == "ready" and all(part.ready for part in self.parts)

    def part(self, name: str) -> Part:
        """Raises KeyError when there is no such part."""
        for part in self.parts:
            if part.name == name:
                return part
        raise KeyError(name)

    def write(self, path: Path) -> None:
        write_private(path, json.dumps(asdict(self), indent=2).encode())

    @classmethod
    def read(cls, path: Path) -> "State | None":
        """The last state written; None when the home never had a stack."""
        try:
            content: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        return cls(**{**content, "parts": [Part(**part) for part in content["parts"]]})
