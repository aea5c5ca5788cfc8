"""Postgres: reads, writes with their events and answered repeats, paging, migrations."""

from services.shared.db.engine import Database
from services.shared.db.hot import HotQuery
from services.shared.db.write import Write

__all__ = ["Database", "HotQuery", "Write"]
