"""The distribution of a scope: exact, and planned for that scope."""

from datetime import date

from sqlalchemy import insert, text

from services.health.domain.rules import Status
from services.health.domain.weeks import Week
from services.health.storage.results import distribution
from services.health.storage.tables import customers, health_results, metadata
from services.shared.access import EVERYTHING, Scope
from services.shared.access.tables import customer_access
from services.shared.clock import utc_now
from services.shared.db import Database
from services.shared.ids import new_id
from tests.support.infrastructure import TestInfrastructure

WEEK = Week.parse("2026-W46", "week")
TODAY = date(2026, 11, 16)
CUSTOMERS = 60


async def test_each_scope_is_counted_exactly_however_often_and_never_by_a_plan_for_another(
    infrastructure: TestInfrastructure,
) -> None:
    employees = [new_id() for _ in range(3)]
    async with infrastructure.new_database("health") as url:
        db = Database(url, utc_now, metadata)
        async with db.transaction(actor="machine:test", unscoped="made by a test") as write:
            for number in range(CUSTOMERS):
                customer_id = new_id()
                known = {"id": customer_id, "external_id": str(number), "created_at": write.now, "version": 1}
                await write.execute(insert(customers).values(known))
                for role, employee in (("CSM", employees[number % 2]), ("ANALYST", employees[number % 3])):
                    owned = {"customer_id": customer_id, "role": role, "employee_id": employee,
                             "valid_from": date.min, "valid_to": date.max}  # fmt: skip
                    await write.execute(insert(customer_access).values(owned))
                if number % 4:
                    result = {"customer_id": customer_id, "week": WEEK.monday, "status": "FAIR" if number % 4 > 1 else
                              "AT_RISK", "previous_status": "FAIR", "rule_set_id": new_id(), "inputs": {},
                              "computed_at": write.now}  # fmt: skip
                    await write.execute(insert(health_results).values(result))
        for scope, seen in (
            (EVERYTHING, range(CUSTOMERS)),
            (Scope(False, (employees[2],), TODAY), range(2, CUSTOMERS, 3)),
            (
                Scope(False, (employees[0], employees[2]), TODAY),
                {n for n in range(CUSTOMERS) if n % 2 == 0 or n % 3 != 1},
            ),
            (Scope(False, (new_id(),), TODAY), ()),
        ):
            for _ in range(7):
                async with db.snapshot() as read:
                    counts = await distribution(read, scope, WEEK, present=True)
                    mode = (await read.execute(text("show plan_cache_mode"))).scalar_one()
                assert mode == "force_custom_plan"
                assert counts == {
                    status: number
                    for status, number in (
                        (Status.NOT_COMPUTED, sum(n % 4 == 0 for n in seen)),
                        (Status.AT_RISK, sum(n % 4 == 1 for n in seen)),
                        (Status.FAIR, sum(n % 4 > 1 for n in seen)),
                    )
                    if number
                }
        await db.close()
