"""Rows of usage, from the contract's message to what storage takes; for rows that come in and rows that waited."""

import hashlib
from datetime import date
from uuid import UUID

from kejing.health.v1.usage_pb2 import UsageRow
from services.health.storage.usage import DayFigures


def key_of(row: UsageRow) -> str:
    """The customer's id, as it is stored, or external id, whichever the row names."""
    return row.customer_id.lower() or row.external_id


def day_figures(row: UsageRow, day: date, customer_id: UUID) -> DayFigures:
    digest = hashlib.sha256(row.SerializeToString(deterministic=True)).digest()
    return DayFigures(row.source_id, digest, customer_id, day, told(row))


def told(row: UsageRow) -> dict[str, int]:
    """The figures that the row sets, by name; 0 is a figure too."""
    return {field.name: value for field, value in row.figures.ListFields()}
