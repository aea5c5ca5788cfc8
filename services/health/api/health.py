"""HealthService: rule sets, and what they found."""

from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from kejing.health.v1 import events_pb2, health_pb2, health_service_pb2_grpc
from kejing.health.v1 import health_service_pb2 as pb
from services.health.api.customers import CustomersInScope
from services.health.api.wire import (
    ended_week,
    from_decimal,
    to_evaluation,
    to_health,
    to_reason,
    to_rule_set,
    to_status,
)
from services.health.domain.metrics import FIELDS
from services.health.domain.rules import Rules, Status, check_rules, reasons
from services.health.domain.weeks import Week
from services.health.storage import evaluations, results, rule_sets
from services.shared.clock import Clock
from services.shared.conditions.wire import from_proto
from services.shared.db import Database
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.rpc.caller import caller

DEFAULT_DATA_SHARE = Decimal("0.5")


class HealthServicer(health_service_pb2_grpc.HealthServiceServicer):
    def __init__(self, db: Database, clock: Clock, zone: ZoneInfo, customers: CustomersInScope) -> None:
        self._db = db
        self._customers = customers
        self._clock = clock
        self._zone = zone

    async def GetHealth(self, request: pb.GetHealthRequest, context: Any) -> pb.GetHealthResponse:
        customer_id = UUID(request.customer_id)
        await self._customers.require(customer_id)
        async with self._db.read() as read:
            row = await results.latest(read, caller().scope, customer_id)
            if row is None:
                nothing = health_pb2.Health(customer_id=request.customer_id, status=to_status(Status.NOT_COMPUTED))
                return pb.GetHealthResponse(health=nothing)
            rules = rule_sets.rules_of(await rule_sets.get(read, row.rule_set_id))
        why = reasons(rules, results.values_of(row.inputs))
        return pb.GetHealthResponse(health=to_health(row), reasons=[to_reason(reason) for reason in why])

    async def ListHealthHistory(
        self, request: pb.ListHealthHistoryRequest, context: Any
    ) -> pb.ListHealthHistoryResponse:
        size, customer_id = page_size(request.page_size), UUID(request.customer_id)
        await self._customers.require(customer_id)
        async with self._db.read() as read:
            rows = await results.page(read, caller().scope, customer_id, page_start(request), size + 1)
        answer = pb.ListHealthHistoryResponse(weeks=[to_health(row) for row in rows[:size]])
        if len(rows) > size:
            answer.next_page_token = next_page_token(request, [rows[size - 1].week])
        return answer

    async def GetHealthDistribution(
        self, request: pb.GetHealthDistributionRequest, context: Any
    ) -> pb.GetHealthDistributionResponse:
        async with self._db.snapshot() as read:
            latest = await results.latest_week(read)
            week = Week.parse(request.week, "week") if request.week else latest
            if week is None:
                return pb.GetHealthDistributionResponse()
            counts = await results.distribution(read, caller().scope, week, present=week == latest)
        listed = [health_pb2.StatusCount(status=to_status(status), customers=counts[status])
                  for status in Status if status in counts]  # fmt: skip
        return pb.GetHealthDistributionResponse(distribution=health_pb2.WeekDistribution(week=str(week), counts=listed))

    async def CreateRuleSet(self, request: pb.CreateRuleSetRequest, context: Any) -> pb.CreateRuleSetResponse:
        new = request.rule_set
        share = DEFAULT_DATA_SHARE
        if new.HasField("minimum_data_share"):
            share = from_decimal(new.minimum_data_share.value, "rule_set.minimum_data_share")
        rules = Rules(
            from_proto(new.at_risk, FIELDS, "rule_set.at_risk"),
            from_proto(new.excellent, FIELDS, "rule_set.excellent"),
            share,
        )
        check_rules(rules, "rule_set")
        async with self._db.write(request) as write:
            if write.first:
                await rule_sets.add(write, write.result_id, new.name, rules)
            row = await rule_sets.get(write.connection, write.result_id)
        return pb.CreateRuleSetResponse(rule_set=to_rule_set(row, rule_sets.rules_of(row)))

    async def GetRuleSet(self, request: pb.GetRuleSetRequest, context: Any) -> pb.GetRuleSetResponse:
        async with self._db.read() as read:
            if request.rule_set_id:
                row = await rule_sets.get(read, UUID(request.rule_set_id))
            else:
                row = await rule_sets.in_force(read)
        return pb.GetRuleSetResponse(rule_set=to_rule_set(row, rule_sets.rules_of(row)))

    async def ListRuleSets(self, request: pb.ListRuleSetsRequest, context: Any) -> pb.ListRuleSetsResponse:
        size = page_size(request.page_size)
        async with self._db.read() as read:
            rows = await rule_sets.page(read, page_start(request), size + 1)
        listed = [to_rule_set(row, rule_sets.rules_of(row)) for row in rows[:size]]
        answer = pb.ListRuleSetsResponse(rule_sets=listed)
        if len(rows) > size:
            answer.next_page_token = next_page_token(request, [rows[size - 1].version])
        return answer

    async def PublishRuleSet(self, request: pb.PublishRuleSetRequest, context: Any) -> pb.PublishRuleSetResponse:
        rule_set_id = UUID(request.rule_set_id)
        async with self._db.write(request, result_id=rule_set_id) as write:
            row = await rule_sets.get(write.connection, rule_set_id)
            if write.first:
                await rule_sets.publish(write, rule_set_id)
                row = await rule_sets.get(write.connection, rule_set_id)
        return pb.PublishRuleSetResponse(rule_set=to_rule_set(row, rule_sets.rules_of(row)))

    async def RequestEvaluation(
        self, request: pb.RequestEvaluationRequest, context: Any
    ) -> pb.RequestEvaluationResponse:
        week = ended_week(request.week, self._clock(), self._zone)
        async with self._db.write(request) as write:
            if write.first:
                number = await evaluations.request(write, write.result_id, week)
                write.emit(events_pb2.EvaluationRequested(run_id=str(write.result_id), week=str(week), number=number))
            progress = await evaluations.progress(write.connection, write.result_id)
        return pb.RequestEvaluationResponse(evaluation=to_evaluation(progress))

    async def GetEvaluation(self, request: pb.GetEvaluationRequest, context: Any) -> pb.GetEvaluationResponse:
        async with self._db.read() as read:
            progress = await evaluations.progress(read, UUID(request.run_id))
        return pb.GetEvaluationResponse(evaluation=to_evaluation(progress))
