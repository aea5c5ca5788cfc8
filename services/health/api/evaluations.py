"""EvaluationsService: the steps of an evaluation, each of which may be done again."""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Row

from kejing.health.v1 import evaluations_service_pb2 as pb
from kejing.health.v1 import evaluations_service_pb2_grpc, events_pb2
from services.health.api.wire import ended_week, to_evaluation, to_input, to_status
from services.health.domain.weeks import Week, unfinished
from services.health.storage import evaluations, rule_sets, usage
from services.health.storage.evaluation import evaluate_range
from services.health.storage.evaluations import EVERY_CUSTOMER
from services.shared.clock import Clock, business_date
from services.shared.db import Database, Write
from services.shared.errors import FailedPrecondition
from services.shared.rpc.wire import to_timestamp

RANGE_SIZE = 5000
EVENT_SIZE = 500
WEEKS_BACK = 12


class EvaluationsServicer(evaluations_service_pb2_grpc.EvaluationsServiceServicer):
    def __init__(self, db: Database, clock: Clock, zone: ZoneInfo, range_size: int = RANGE_SIZE) -> None:
        self._db = db
        self._clock = clock
        self._zone = zone
        self._range_size = range_size

    async def ListUnfinishedWeeks(
        self, request: pb.ListUnfinishedWeeksRequest, context: Any
    ) -> pb.ListUnfinishedWeeksResponse:
        now = self._clock()
        async with self._db.read(unscoped=EVERY_CUSTOMER) as read:
            first_customer, first_day = await evaluations.beginnings(read)
            created = first_customer and business_date(first_customer, self._zone)
            first = min((day for day in (created, first_day) if day), default=None)
            finished = await evaluations.finished_weeks(read, Week.of(first)) if first else set()
        weeks = unfinished(first, finished, now, self._zone, WEEKS_BACK)
        return pb.ListUnfinishedWeeksResponse(weeks=[str(week) for week in weeks])

    async def PlanEvaluation(self, request: pb.PlanEvaluationRequest, context: Any) -> pb.PlanEvaluationResponse:
        week = ended_week(request.week, self._clock(), self._zone)
        async with self._db.transaction(unscoped=EVERY_CUSTOMER) as write:
            run = await evaluations.lock(write, week, request.number)
            if run.planned_at is None:
                rule_set = await rule_sets.in_force(write.connection)
                await evaluations.plan(write, run.id, rule_set.id, self._range_size)
            progress = await evaluations.progress(write.connection, run.id)
        return pb.PlanEvaluationResponse(evaluation=to_evaluation(progress))

    async def EvaluateRange(self, request: pb.EvaluateRangeRequest, context: Any) -> pb.EvaluateRangeResponse:
        async with self._db.transaction(unscoped=EVERY_CUSTOMER) as write:
            run, row = await evaluations.range_of(write.connection, UUID(request.run_id), request.range)
            if row.done_at is None:
                rules = rule_sets.rules_of(await rule_sets.get(write.connection, run.rule_set_id))
                ended_at = Week(run.week).ended_at(self._zone)
                changed = await evaluate_range(write, run, row, rules, ended_at)
                _tell_health(write, Week(run.week), [one for one in changed if one.status])
                _tell_inputs(write, Week(run.week), [one for one in changed if one.inputs is not None])
                _, row = await evaluations.range_of(write.connection, run.id, row.number)
        return pb.EvaluateRangeResponse(customers=row.customers, transitions=row.transitions)

    async def FinishEvaluation(self, request: pb.FinishEvaluationRequest, context: Any) -> pb.FinishEvaluationResponse:
        run_id = UUID(request.run_id)
        async with self._db.transaction(unscoped=EVERY_CUSTOMER) as write:
            progress = await evaluations.progress(write.connection, run_id)
            if progress.ranges_done < progress.ranges or not progress.ranges:
                message = f"{progress.ranges_done} of {progress.ranges} ranges of the run are done"
                raise FailedPrecondition("RANGES_OPEN", message)
            await evaluations.finish(write, run_id)
            await usage.forget_receipts(write, business_date(write.now, self._zone))  # once a week is often enough
            progress = await evaluations.progress(write.connection, run_id)
        return pb.FinishEvaluationResponse(evaluation=to_evaluation(progress))


def _tell_health(write: Write, week: Week, changed: Sequence[Row[Any]]) -> None:
    for start in range(0, len(changed), EVENT_SIZE):
        items = [
            events_pb2.CustomerHealth(
                customer_id=str(one.customer_id),
                week=str(week),
                status=to_status(one.status),
                previous_status=to_status(one.previous_status),
                computed_at=to_timestamp(write.now),
            )
            for one in changed[start : start + EVENT_SIZE]
        ]
        write.emit(events_pb2.HealthChanged(items=items))


def _tell_inputs(write: Write, week: Week, changed: Sequence[Row[Any]]) -> None:
    for start in range(0, len(changed), EVENT_SIZE):
        told = events_pb2.InputsChanged(week=str(week), computed_at=to_timestamp(write.now))
        for one in changed[start : start + EVENT_SIZE]:
            told.items.add(customer_id=str(one.customer_id)).MergeFromString(_inputs(one.inputs))
        write.emit(told)


@lru_cache(maxsize=10_000)
def _inputs(stored: str) -> bytes:
    """Many customers have the same: as bytes they cost a tenth."""
    inputs: dict[str, str | None] = json.loads(stored)
    return events_pb2.CustomerInputs(inputs=map(to_input, sorted(inputs.items()))).SerializeToString()
