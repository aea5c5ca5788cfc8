"""When the weekly evaluation is due."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from temporalio.client import (
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleCalendarSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
)

from workflows.names import HEALTH_SCHEDULE, TaskQueue

MONDAY, HOUR = 1, 2


def schedule(zone: ZoneInfo) -> tuple[str, Schedule]:
    """The schedule's id and what it says: a HealthTick each Monday at 02:00 in the business time zone.

    A tick that was due while Temporal was down is made up for when it is back; a tick that finds another one at work
    is dropped, since that one sees to every week that is due.
    """
    tick = ScheduleActionStartWorkflow(
        "HealthTick", id=HEALTH_SCHEDULE, task_queue=TaskQueue.BATCH, static_summary="Health of the weeks that are due"
    )
    mondays = ScheduleCalendarSpec(
        day_of_week=[ScheduleRange(MONDAY)], hour=[ScheduleRange(HOUR)], comment="Mondays 02:00, business time"
    )
    return HEALTH_SCHEDULE, Schedule(
        action=tick,
        spec=ScheduleSpec(calendars=[mondays], time_zone_name=zone.key),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(days=7)),
    )
