"""Alerts of one range of an evaluation, into the inbox of every owner, once."""

from workflows.alert_fanout.activities import AlertFanoutActivities
from workflows.alert_fanout.workflow import AlertFanout

WORKFLOWS = [AlertFanout]
ACTIVITIES = [AlertFanoutActivities]
