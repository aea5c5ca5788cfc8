"""Identifiers: UUIDv7 for what is new, derived ones for what must come out the same each time."""

from uuid import UUID, uuid5

import uuid_utils.compat


def new_id() -> UUID:
    """A UUIDv7: unique, and ordered by the time of its making to the millisecond."""
    return uuid_utils.compat.uuid7()


def derived_id(namespace: UUID, key: str) -> UUID:
    """The same UUID (v5) for the same namespace and key, on every machine."""
    return uuid5(namespace, key)
