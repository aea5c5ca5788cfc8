"""The catalogue of what health rules may ask for. Each window ends with the last day of the evaluated week.

How a metric is computed stands in storage/inputs.py, under the same key.
"""

from dataclasses import dataclass
from decimal import Decimal

from services.shared.conditions.check import Field

LONGEST_WINDOW_DAYS = 14


@dataclass(frozen=True)
class Metric:
    field: Field
    description: str
    unit: str
    window_days: int


def _metric(key: str, description: str, unit: str, window_days: int, *, maximum: int | None, whole: bool) -> Metric:
    most = None if maximum is None else Decimal(maximum)
    return Metric(Field(key, Decimal(0), most, whole), description, unit, window_days)


_CATALOGUE = (
    _metric(
        "active_ratio_14d",
        "Distinct users active in 14 days, as told for the window's last day that has the figure, ÷ seats opened; "
        "1 where more were active than have seats.",
        "ratio",
        14,
        maximum=1,
        whole=False,
    ),
    _metric("active_days_14d", "Days of 14 on which at least one user was active.", "days", 14, maximum=14, whole=True),
    _metric("tickets_14d", "Tickets opened in 14 days.", "tickets", 14, maximum=None, whole=True),
    _metric(
        "urgent_open_tickets_7d",
        "Urgent tickets unresolved, as told for the last day of 7 that has the figure.",
        "tickets",
        7,
        maximum=None,
        whole=True,
    ),
)
METRICS = {metric.field.key: metric for metric in _CATALOGUE}
FIELDS = {key: metric.field for key, metric in METRICS.items()}
