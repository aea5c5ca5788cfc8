"""The overview of a customer with a long timeline, asked for twenty times a second."""

import asyncio
from uuid import UUID

from kejing.customers.v1 import overview_service_pb2, overview_service_pb2_grpc
from kejing.customers.v1.overview_service_pb2 import GetOverviewResponse
from tests.benchmarks.measure import percentile, print_table, timed
from tests.benchmarks.world import World, superuser

ENTRIES, WEEKS, DAYS, TASKS, ORDERS = 10_000, 26, 30, 200, 50
CALLS_A_SECOND, SECONDS = 20, 10
BOUND_MS = 300

# A third is of persons; of what synchronisation did much stands in a row, as it does after years of imports.
TIMELINE = """
    insert into timeline (customer_id, occurred_at, id, kind, origin, actor, object_id, what, facts, changes)
    select %(id)s, now() - n * interval '1 hour', uuidv7(), (array['ATTRIBUTES', 'TASK', 'FOLLOW_UP'])[1 + n %% 3],
           case when n %% 10 < 3 then 'PERSON' else 'SYNC' end, 'machine:bench', '', 'changed', '{"week": "2026-W47"}',
           '{"seats": ["1", "2"]}'
    from generate_series(1, %(count)s) n
"""


async def run(world: World) -> None:
    _fill(world)
    stub = world.client.stub(overview_service_pb2_grpc.OverviewServiceStub)
    asked = overview_service_pb2.GetOverviewRequest(customer_id=world.customer_id)

    async def call() -> GetOverviewResponse:
        answer: GetOverviewResponse = await world.client.ask(stub.GetOverview, asked)
        return answer

    first = await call()
    for _ in range(20):
        await call()
    answers: list[GetOverviewResponse] = []

    async def kept() -> None:
        answers.append(await call())

    calls: list[asyncio.Task[float]] = []
    for _ in range(CALLS_A_SECOND * SECONDS):
        calls.append(asyncio.create_task(timed(kept)))
        await asyncio.sleep(1 / CALLS_A_SECOND)
    took = await asyncio.gather(*calls)
    whole = sum(not answer.missing for answer in answers)
    rows = [
        ["p50", f"{percentile(took, 0.5):.0f} ms"],
        ["p95", f"{percentile(took, 0.95):.0f} ms (at most {BOUND_MS})"],
        ["whole answers", f"{whole} of {len(answers)}"],
        ["size of an answer", f"{first.ByteSize() / 1024:.0f} KiB"],
    ]
    print_table(f"Overview, {ENTRIES:,} entries of timeline, {CALLS_A_SECOND} calls a second", ["", "took"], rows)


def _fill(world: World) -> None:
    """Everything that an overview reads, by SQL."""
    customer = {"id": UUID(world.customer_id)}
    with superuser(world.stack, "kejing_customers") as customers:
        customers.execute(TIMELINE, {**customer, "count": ENTRIES})
        customers.execute("analyze timeline")
    with superuser(world.stack, "kejing_health") as health:
        health.execute(
            "insert into usage (customer_id, day, active_users, active_users_14d, tickets_opened) "
            "select %(id)s, current_date - n, 5, 9, 1 from generate_series(0, %(count)s) n",
            {**customer, "count": DAYS},
        )
        health.execute(
            """insert into health_results
                   (customer_id, week, status, previous_status, rule_set_id, inputs, data_until, computed_at)
               select %(id)s, date_trunc('week', now())::date - 7 * n, 'FAIR', 'FAIR', rule_sets.id,
                      '{"active_ratio_14d": "0.5", "tickets_14d": "3"}', current_date, now()
               from generate_series(1, %(count)s) n, (select id from rule_sets limit 1) rule_sets""",
            {**customer, "count": WEEKS},
        )
    with superuser(world.stack, "kejing_revenue") as revenue:
        revenue.execute(
            """insert into orders (id, number, customer_id, product, currency, amount, signed_date, term_start,
                                   term_end, counts_to_mrr, status, version, created_at, updated_at)
               select uuidv7(), 'BENCH-' || n, %(id)s, 'Standard', 'CNY', 12000, current_date - 30 * n,
                      current_date - 30 * n, current_date - 30 * n + 364, true, 'EFFECTIVE', 1, now(), now()
               from generate_series(1, %(count)s) n""",
            {**customer, "count": ORDERS},
        )
    with superuser(world.stack, "kejing_tasks") as tasks:
        tasks.execute(
            """insert into tasks (id, customer_id, title, theme_key, assignee_id, priority, deadline_date, deadline_at,
                                  armed_at, description, origin, stage_key, required, state, version, created_by,
                                  created_at, closed_by, cancel_reason, original_deadline_at, postponement_count)
               select uuidv7(), %(id)s, 'Call', 'delivery', uuidv7(), 'NORMAL', current_date + 5, due, now(), '',
                      'MANUAL', '', false, 'TODO', 1, 'machine:bench', now(), '', '', due, 0
               from generate_series(1, %(count)s) n, (select now() + interval '5 day') as of (due)""",
            {**customer, "count": TASKS},
        )
