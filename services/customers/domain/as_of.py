"""How a customer was at an earlier moment: what happened since is undone, the newest first."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Undoable:
    """What happened to a customer: `changes` of fields from what to what ("": none), a tag was put on or taken off."""

    changes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    tag: str = ""
    put_on: bool = False


@dataclass(frozen=True)
class State:
    """A customer's fields that have a value, and its tags."""

    fields: Mapping[str, str]
    tags: frozenset[str]


def undone(present: State, since: Iterable[Undoable]) -> State:
    """`present` before all of `since` happened, which comes newest first."""
    fields, tags = dict(present.fields), set(present.tags)
    for each in since:
        fields |= {name: before for name, (before, _after) in each.changes.items()}
        if each.tag:
            (tags.discard if each.put_on else tags.add)(each.tag)
    return State({name: value for name, value in fields.items() if value}, frozenset(tags))


def differences(first: Mapping[str, str], second: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """(name, value in `first`, value in `second`) of what differs, by name; "" where there is none."""
    return [
        (name, first.get(name, ""), second.get(name, ""))
        for name in sorted({*first, *second})
        if first.get(name, "") != second.get(name, "")
    ]
