"""Roles: the ready-made ones, and the rule that nobody gives away more than he has himself."""

from collections.abc import Iterable
from dataclasses import dataclass

from services.shared.errors import FailedPrecondition, PermissionDenied

ADMINISTRATOR = "ADMINISTRATOR"
"""The one role that always holds every permission, and that can't be changed or removed."""
MOST_ROLES = 200
SCOPES = ("OWN", "DEPARTMENT", "ALL")
"""From the narrowest to the widest."""


@dataclass(frozen=True)
class Powers:
    """What a role gives: permissions by their numbers in the catalogue, and a scope of SCOPES."""

    permissions: frozenset[int]
    scope: str

    def within(self, other: "Powers") -> bool:
        """Whether somebody with the `other` powers has all of these."""
        return self.permissions <= other.permissions and SCOPES.index(self.scope) <= SCOPES.index(other.scope)


@dataclass(frozen=True)
class ReadyMade:
    """A role that every installation begins with; `permissions`: names of the catalogue without their prefix."""

    key: str
    name: str
    scope: str
    permissions: tuple[str, ...]


_READ = ("CUSTOMERS_READ", "TASKS_READ", "HEALTH_READ", "REVENUE_READ")
_WORK = (*_READ, "CUSTOMERS_WRITE", "TASKS_WRITE", "PROCESSES_DRIVE", "ALERTS_HANDLE")

READY_MADE = (
    ReadyMade(
        "MANAGER",
        "经理 Manager",
        "DEPARTMENT",
        (
            *_WORK,
            "TASKS_MANAGE",
            "THEMES_MANAGE",
            "PROCESSES_DEFINE",
            "ORDERS_WRITE",
            "OWNERS_MANAGE",
            "SEGMENTS_MANAGE",
            "CUSTOMERS_EXPORT",
        ),
    ),
    ReadyMade("CSM", "客户成功经理 Customer success manager", "OWN", _WORK),
    ReadyMade("ANALYST", "分析师 Analyst", "OWN", (*_READ, "TASKS_WRITE", "ALERTS_HANDLE")),
    ReadyMade("SALES", "销售 Sales", "OWN", (*_READ, "CUSTOMERS_WRITE", "TASKS_WRITE", "ORDERS_WRITE")),
    ReadyMade("SERVICE_AGENT", "客服 Service agent", "DEPARTMENT", ("CUSTOMERS_READ", "TASKS_READ", "TASKS_WRITE")),
    ReadyMade(
        "DATA_ANALYST",
        "数据分析师 Data analyst",
        "ALL",
        (*_READ, "HEALTH_MANAGE", "USAGE_INGEST", "SEGMENTS_MANAGE", "CUSTOMERS_EXPORT"),
    ),
)
"""Without ADMINISTRATOR, whose permissions are those of the catalogue of the release that runs."""
ADMINISTRATOR_NAME = "管理员 Administrator"


def require_within(powers: Powers, own: Powers) -> None:
    """Raises PermissionDenied (BEYOND_YOUR_OWN) where somebody with `own` powers gives, changes or takes more."""
    if not powers.within(own):
        raise PermissionDenied("BEYOND_YOUR_OWN", "that role may more, or sees more, than your own")


def require_changeable(key: str) -> None:
    """Raises FailedPrecondition: ROLE_PROTECTED."""
    if key == ADMINISTRATOR:
        raise FailedPrecondition("ROLE_PROTECTED", f"the role {ADMINISTRATOR} always may everything")


def require_another_administrator(others: int) -> None:
    """`others`: how many active administrators would be left. Raises FailedPrecondition: LAST_ADMINISTRATOR."""
    if others < 1:
        raise FailedPrecondition("LAST_ADMINISTRATOR", "nobody would be left who may do everything")


def require_unused(key: str, employees: int) -> None:
    """Raises FailedPrecondition: ROLE_IN_USE."""
    if employees:
        raise FailedPrecondition(
            "ROLE_IN_USE", f"{employees} employees have the role {key}; give them another one", employees=employees
        )


def ascending(permissions: Iterable[int]) -> list[int]:
    """The permissions in the order of the catalogue, each once."""
    return sorted(set(permissions))
