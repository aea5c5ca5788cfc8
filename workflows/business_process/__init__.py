"""A business process of a customer: stages, transitions, what people order and what moves on by itself."""

from workflows.business_process.activities import ProcessActivities
from workflows.business_process.workflow import BusinessProcess

WORKFLOWS = [BusinessProcess]
ACTIVITIES = [ProcessActivities]
