"""CustomerFilter → what a list is about."""

from datetime import date
from uuid import UUID

from kejing.customers.v1 import customers_service_pb2 as pb
from kejing.health.v1 import health_pb2
from services.customers.storage import labels
from services.customers.storage.lists import Wanted
from services.shared.rpc.caller import caller


def wanted(asked: pb.CustomerFilter, today: date) -> Wanted:
    """The customers in the caller's scope that a filter leaves; `today` is the business date."""
    owners = [UUID(asked.owner_id)] if asked.owner_id else []
    if asked.view == pb.CUSTOMER_VIEW_MINE:
        owners.append(caller().employee_id)
    carried = [labels.tag(tag) for tag in asked.tags]
    if asked.group_id:
        carried.append(labels.group(asked.group_id))
    if asked.segment_id:
        carried.append(labels.segment(asked.segment_id))
    no_health = asked.health_status == health_pb2.HEALTH_STATUS_NOT_COMPUTED
    if asked.health_status and not no_health:
        carried.append(labels.health(health_pb2.HealthStatus.Name(asked.health_status).removeprefix("HEALTH_STATUS_")))
    return Wanted.within(
        caller().scope,
        owners,
        today,
        churned=asked.view == pb.CUSTOMER_VIEW_CHURNED,
        name_prefix=asked.name_prefix,
        labels=tuple(carried),
        without=tuple(labels.tag(tag) for tag in asked.without_tags),
        no_health=no_health,
    )
