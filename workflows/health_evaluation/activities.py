"""The steps of an evaluation, each a call to the health service that may be repeated.

`actor` is the employee who asked for the evaluation; empty where nobody did.
"""

from temporalio import activity

from kejing.health.v1 import evaluations_service_pb2 as pb
from services.shared.rpc.client import on_behalf_of
from workflows.clients import Clients, ask
from workflows.health_evaluation.types import Plan, RangeResult


class HealthEvaluationActivities:
    def __init__(self, clients: Clients) -> None:
        self._evaluations = clients.evaluations

    @activity.defn
    async def list_unfinished_weeks(self) -> list[str]:
        """ISO weeks that ended without a finished run, oldest first."""
        answer = await ask(self._evaluations.ListUnfinishedWeeks(pb.ListUnfinishedWeeksRequest()))
        return list(answer.weeks)

    @activity.defn
    async def plan_evaluation(self, week: str, number: int, actor: str = "") -> Plan:
        """Makes the run unless it is there, and divides the customers into ranges."""
        request = pb.PlanEvaluationRequest(week=week, number=number)
        answer = await ask(self._evaluations.PlanEvaluation(request, metadata=on_behalf_of(actor)))
        run = answer.evaluation
        return Plan(run.run_id, run.ranges, run.rule_set_version)

    @activity.defn
    async def evaluate_range(self, run_id: str, number: int, actor: str = "") -> RangeResult:
        """Evaluates the customers of one range."""
        request = pb.EvaluateRangeRequest(run_id=run_id, range=number)
        answer = await ask(self._evaluations.EvaluateRange(request, metadata=on_behalf_of(actor)))
        return RangeResult(answer.customers, answer.transitions)

    @activity.defn
    async def finish_evaluation(self, run_id: str, actor: str = "") -> None:
        """Marks the run as finished."""
        request = pb.FinishEvaluationRequest(run_id=run_id)
        await ask(self._evaluations.FinishEvaluation(request, metadata=on_behalf_of(actor)))
