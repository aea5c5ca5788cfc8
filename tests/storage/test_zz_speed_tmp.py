import time
from tests.storage.test_health_evaluation import *
from tests.support.infrastructure import infrastructure
import pytest_asyncio

async def test_speed(infrastructure):
    async with infrastructure.new_database("health") as url:
        db = Database(url, utc_now)
        await fill(db, 100_000)
        for week in (WEEK, WEEK.next):
            t=time.perf_counter()
            run_id = await planned(db, week)
            t1=time.perf_counter()
            n=0; slow=0
            for k in range(20):
                s=time.perf_counter(); n+=len(await evaluated(db, run_id, k)); slow=max(slow,time.perf_counter()-s)
            print(week, "plan", t1-t, "eval", time.perf_counter()-t1, n, "slowest", slow)
        run_id = await planned(db, WEEK)
        s=time.perf_counter(); await evaluated(db, run_id, 3); print("again", time.perf_counter()-s)
        await db.close()
