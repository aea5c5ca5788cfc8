"""What AlertFanout and its activities hand each other. Ids, codes and numbers only."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FanoutOrder:
    """The workflow's input: a range of a run, its ISO week, and where to go on ("": at the beginning).

    `actor` is the employee who asked for the run, empty where nobody did.
    """

    run_id: str
    key_range: int
    week: str
    page_token: str = ""
    raised: int = 0
    delivered: int = 0
    actor: str = ""


@dataclass(frozen=True)
class RaisedAlert:
    """An alert for the owners of a customer, who are those of `customer_version` or a later one (0: of any); `facts`
    are codes and numbers by name."""

    alert_id: str
    customer_id: str
    facts: dict[str, str]
    customer_version: int = 0


@dataclass(frozen=True)
class AlertPage:
    """Alerts that were raised, and the token of the next page ("": there is none)."""

    alerts: list[RaisedAlert]
    next_page_token: str


@dataclass(frozen=True)
class FanoutResult:
    """Alerts that were raised, and items that came into inboxes."""

    raised: int
    delivered: int
