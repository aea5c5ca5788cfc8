"""What calls answered that change many customers, for their repeats."""

from sqlalchemy import insert, select

from services.customers.storage.tables import taggings
from services.shared.db import Write


async def remember(write: Write, changed: int) -> None:
    await write.execute(insert(taggings).values(id=write.result_id, changed=changed))


async def remembered(write: Write) -> int:
    return int((await write.execute(select(taggings.c.changed).where(taggings.c.id == write.result_id))).scalar_one())
