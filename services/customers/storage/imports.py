"""The order in which changes of many customers come."""

from sqlalchemy import text

from services.shared.db import Write


async def one_at_a_time(write: Write) -> None:
    """Changes of many customers come one after the other: they may meet in the same rows, in another order."""
    await write.execute(text("select pg_advisory_xact_lock(hashtext('kejing who buys'))"))
