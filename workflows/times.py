"""Instants as operators read them."""

from datetime import datetime
from zoneinfo import ZoneInfo


def in_zone(instant: datetime, zone: str) -> str:
    """`instant` to the minute in the time zone, e.g. "2026-11-25 18:00 Asia/Shanghai"."""
    return f"{instant.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}"
