"""Between the contract's messages and this service's own values."""

import re
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from google.type.decimal_pb2 import Decimal as DecimalMessage
from sqlalchemy import Row

from kejing.health.v1 import alerts_pb2, evaluation_pb2, health_pb2
from services.health.domain.rules import Reason, Rules, Status
from services.health.domain.weeks import Week
from services.health.storage.evaluations import Progress
from services.shared.conditions import wire as conditions
from services.shared.errors import InvalidArgument
from services.shared.rpc.wire import to_date, to_timestamp

DECIMAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,10})?", re.ASCII)
"""As conditions write their values: an exponent could name a number that nothing can hold."""


def to_decimal(value: Decimal | None) -> DecimalMessage | None:
    return None if value is None else DecimalMessage(value=f"{value.normalize():f}")


def from_decimal(text: str, field: str) -> Decimal:
    """Raises InvalidArgument, naming `field`, where `text` is no decimal number written out."""
    if not DECIMAL.fullmatch(text):
        raise InvalidArgument(field, text, "it must be a decimal number such as 0.5, with at most 10 decimals")
    return Decimal(text)


def to_status(status: str | None) -> health_pb2.HealthStatus.ValueType:
    if status is None:
        return health_pb2.HEALTH_STATUS_UNSPECIFIED
    return health_pb2.HealthStatus.Value(f"HEALTH_STATUS_{status}")


def from_status(number: health_pb2.HealthStatus.ValueType) -> Status | None:
    """The status; None for the unspecified one."""
    name = health_pb2.HealthStatus.Name(number).removeprefix("HEALTH_STATUS_")
    return None if name == "UNSPECIFIED" else Status(name)


def to_health(row: Row[Any]) -> health_pb2.Health:
    """Of a health_results row with rule_set_version."""
    return health_pb2.Health(
        customer_id=str(row.customer_id),
        status=to_status(row.status),
        previous_status=to_status(row.previous_status),
        week=str(Week(row.week)),
        computed_at=to_timestamp(row.computed_at),
        rule_set_id=str(row.rule_set_id),
        rule_set_version=row.rule_set_version,
        inputs=map(to_input, sorted(row.inputs.items())),
        data_until=to_date(row.data_until),
    )


def to_input(stored: tuple[str, str | None]) -> health_pb2.HealthInput:
    """Of an item of a result's inputs."""
    metric, value = stored
    return health_pb2.HealthInput(metric=metric, value=None if value is None else to_decimal(Decimal(value)))


def to_reason(reason: Reason) -> health_pb2.HealthReason:
    return health_pb2.HealthReason(
        level=to_status(reason.level),
        comparison=conditions.comparison_to_proto(reason.comparison),
        value=to_decimal(reason.value),
        holds=reason.holds,
    )


def to_rule_set(row: Row[Any], rules: Rules) -> health_pb2.RuleSet:
    """Of a rule_sets row and its rules."""
    return health_pb2.RuleSet(
        id=str(row.id),
        version=row.version,
        name=row.name,
        at_risk=conditions.to_proto(rules.at_risk),
        excellent=conditions.to_proto(rules.excellent),
        minimum_data_share=to_decimal(rules.minimum_data_share),
        created_at=to_timestamp(row.created_at),
        created_by=row.created_by,
        published_at=to_timestamp(row.published_at),
    )


def to_evaluation(progress: Progress) -> evaluation_pb2.Evaluation:
    run = progress.run
    return evaluation_pb2.Evaluation(
        run_id=str(run.id),
        week=str(Week(run.week)),
        number=run.number,
        rule_set_version=progress.rule_set_version,
        ranges=progress.ranges,
        ranges_done=progress.ranges_done,
        customers=progress.customers,
        transitions=progress.transitions,
        created_at=to_timestamp(run.created_at),
        finished_at=to_timestamp(run.finished_at),
    )


def to_alert(row: Row[Any]) -> alerts_pb2.Alert:
    moved = None
    if row.moved_metric:
        moved = alerts_pb2.MovedInput(
            metric=row.moved_metric, before=to_decimal(row.moved_before), after=to_decimal(row.moved_after)
        )
    alert = alerts_pb2.Alert(
        id=str(row.id),
        customer_id=str(row.customer_id),
        week=str(Week(row.week)),
        to=to_status(row.to_status),
        moved=moved,
        raised_at=to_timestamp(row.raised_at),
        acknowledged_by=str(row.acknowledged_by or ""),
        acknowledged_at=to_timestamp(row.acknowledged_at),
    )
    setattr(alert, "from", to_status(row.from_status))  # a keyword of Python
    return alert


def ended_week(text: str, now: datetime, zone: ZoneInfo) -> Week:
    """The week written in the field `week`, or the last one that has ended where empty.

    Raises InvalidArgument where there is no such week or it has not ended.
    """
    last = Week.last_ended(now, zone)
    week = Week.parse(text, "week") if text else last
    if week > last:
        raise InvalidArgument("week", text, f"it must have ended; the last one that has is {last}")
    return week
