"""What things are called in Temporal: task queues, workflow ids, schedule ids, search attributes.

Every id is derived from what the workflow is about, so that starting twice is starting once.
"""

from enum import StrEnum

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey


class TaskQueue(StrEnum):
    """Where workers take their work. Batch work has its own, so that it never delays a person; imports have theirs, so
    that a hundred files at once delay no evaluation."""

    INTERACTIVE = "kejing"
    BATCH = "kejing-batch"
    IMPORTS = "kejing-imports"


HEALTH_SCHEDULE = "health-tick"
"""Ticks every week; the tick sees to every week that has no finished evaluation."""

CUSTOMERS_DAY_SCHEDULE = "customers-day-tick"
"""Ticks every day; the tick sees to every business day that was not done."""


def task_workflow(task_id: str) -> str:
    """Id of the clock of a task (TaskLifecycle)."""
    return f"task/{task_id}"


def process_workflow(process_id: str) -> str:
    """Id of a running process (BusinessProcess)."""
    return f"process/{process_id}"


def health_workflow(week: str, number: int = 1) -> str:
    """Id of an evaluation of an ISO week, "2026-W47"; `number` counts the runs of that week, from 1."""
    return f"health/{week}" if number == 1 else f"health/{week}/{number}"


def alerts_workflow(run_id: str, key_range: str) -> str:
    """Id of the fan-out of one range of a run's alerts."""
    return f"alerts/{run_id}/{key_range}"


def import_workflow(import_id: str) -> str:
    """Id of an import on its way (CustomerImport)."""
    return f"import/{import_id}"


def customers_day_workflow(day: str) -> str:
    """Id of the daily work at customers for a business date, "2026-11-23"."""
    return f"customers-day/{day}"


CUSTOMER_ID = SearchAttributeKey.for_keyword("CustomerId")
THEME_KEY = SearchAttributeKey.for_keyword("ThemeKey")
DEFINITION_KEY = SearchAttributeKey.for_keyword("DefinitionKey")
STAGE = SearchAttributeKey.for_keyword("Stage")
OWNER_ID = SearchAttributeKey.for_keyword("OwnerId")
DUE_AT = SearchAttributeKey.for_datetime("DueAt")
OVERDUE = SearchAttributeKey.for_bool("Overdue")

SEARCH_ATTRIBUTES = (CUSTOMER_ID, THEME_KEY, DEFINITION_KEY, STAGE, OWNER_ID, DUE_AT, OVERDUE)
"""What operators filter by. A workflow that sets an attribute that is not registered hangs: see the next function."""


async def register_search_attributes(client: Client) -> None:
    """Registers the search attributes in the client's namespace; those that are there already stay as they are."""
    types = {key.name: IndexedValueType.ValueType(key.indexed_value_type) for key in SEARCH_ATTRIBUTES}
    order = AddSearchAttributesRequest(namespace=client.namespace, search_attributes=types)
    await client.operator_service.add_search_attributes(order, retry=True)
