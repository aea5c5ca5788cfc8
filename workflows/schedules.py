"""The schedules: created, or brought to what this release says, at every start."""

from functools import partial
from zoneinfo import ZoneInfo

from temporalio.client import (
    Client,
    Schedule,
    ScheduleAlreadyRunningError,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from workflows.customers_day.schedule import schedule as customers_day_schedule
from workflows.health_evaluation.schedule import schedule as health_schedule


async def ensure_schedules(client: Client, zone: ZoneInfo) -> None:
    """Creates or updates every schedule.

    Raises:
        RPCError: Temporal did not take one.
    """
    for schedule_id, schedule in (health_schedule(zone), customers_day_schedule(zone)):
        await ensure_schedule(client, schedule_id, schedule)


async def ensure_schedule(client: Client, schedule_id: str, schedule: Schedule) -> None:
    """Creates or updates a schedule. An operator's pause of it stays as it is.

    A schedule that is new ticks at once: what was due before is made up for now, and not at the next time, as where
    Temporal's data was lost.

    Raises:
        RPCError: Temporal did not take it.
    """
    try:
        await client.create_schedule(schedule_id, schedule, trigger_immediately=True)
    except ScheduleAlreadyRunningError:
        await client.get_schedule_handle(schedule_id).update(partial(_updated, schedule))


def _updated(schedule: Schedule, found: ScheduleUpdateInput) -> ScheduleUpdate:
    schedule.state = found.description.schedule.state
    return ScheduleUpdate(schedule=schedule)
