"""Search attributes of a workflow: at its start, and what must change later. Pure."""

from collections.abc import Mapping
from typing import Any

from temporalio.common import SearchAttributeKey, SearchAttributePair, SearchAttributeUpdate, TypedSearchAttributes

Wanted = Mapping[SearchAttributeKey[Any], Any]
"""Attribute → value; None for none."""


def initial(wanted: Wanted) -> TypedSearchAttributes:
    """The attributes for a workflow that is started now."""
    return TypedSearchAttributes(
        [SearchAttributePair(key, value) for key, value in wanted.items() if value is not None]
    )


def changes(wanted: Wanted, shown: TypedSearchAttributes) -> list[SearchAttributeUpdate[Any]]:
    """What must change of the attributes that are `shown` now: each change is an event in the history."""
    return [
        key.value_unset() if value is None else key.value_set(value)
        for key, value in wanted.items()
        if shown.get(key) != value
    ]
