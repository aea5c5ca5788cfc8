"""The weekly evaluation of everybody's health: each week once, a missed one for itself."""

from workflows.health_evaluation.activities import HealthEvaluationActivities
from workflows.health_evaluation.workflow import HealthEvaluation, HealthTick

WORKFLOWS = [HealthEvaluation, HealthTick]
ACTIVITIES = [HealthEvaluationActivities]
