"""The steps of an evaluation, each a call to the health service that may be repeated."""

from temporalio import activity

from kejing.health.v1 import evaluations_service_pb2 as pb
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
    async def plan_evaluation(self, week: str, number: int) -> Plan:
        """Makes the run unless it is there, and divides the customers into ranges."""
        answer = await ask(self._evaluations.PlanEvaluation(pb.PlanEvaluationRequest(week=week, number=number)))
        run = answer.evaluation
        return Plan(run.run_id, run.ranges, run.rule_set_version)

    @activity.defn
    async def evaluate_range(self, run_id: str, number: int) -> RangeResult:
        """Evaluates the customers of one range."""
        answer = await ask(self._evaluations.EvaluateRange(pb.EvaluateRangeRequest(run_id=run_id, range=number)))
        return RangeResult(answer.customers, answer.transitions)

    @activity.defn
    async def finish_evaluation(self, run_id: str) -> None:
        """Marks the run as finished."""
        await ask(self._evaluations.FinishEvaluation(pb.FinishEvaluationRequest(run_id=run_id)))
