"""When the daily work at customers is due."""

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

from workflows.names import CUSTOMERS_DAY_SCHEDULE, TaskQueue

SECOND = 5
"""The clock of the service, which says what day it is, may be a little behind Temporal's."""


def schedule(zone: ZoneInfo) -> tuple[str, Schedule]:
    """The schedule's id and what it says: a CustomersDayTick each day at 00:00:05 in the business time zone.

    A tick that was due while Temporal was down is made up for when it is back; a tick that finds another one at work
    waits for it, once: that one may have looked for days before midnight.
    """
    tick = ScheduleActionStartWorkflow(
        "CustomersDayTick",
        id=CUSTOMERS_DAY_SCHEDULE,
        task_queue=TaskQueue.BATCH,
        static_summary="Customers on the days that are due",
    )
    midnight = ScheduleCalendarSpec(second=[ScheduleRange(SECOND)], comment="each midnight, business time")
    return CUSTOMERS_DAY_SCHEDULE, Schedule(
        action=tick,
        spec=ScheduleSpec(calendars=[midnight], time_zone_name=zone.key),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.BUFFER_ONE, catchup_window=timedelta(days=2)),
    )
