"""Who makes the present call, and what he may."""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.shared.access.scope import EVERYTHING, Grant, Scope
from services.shared.errors import PermissionDenied

NOTHING = Grant(frozenset(), Scope())
MACHINE = Grant(frozenset(), EVERYTHING)
"""A machine may call the rpcs that name it, and sees every customer there."""


@dataclass(frozen=True, slots=True)
class Caller:
    """`subject` is the token's: an employee's id or "machine:<name>"; `expires_at` in seconds since 1970.

    A machine that acts for a person names that person in `on_behalf_of`. A deputy who acts for an absent colleague
    names that one in `acting_for`, and `grant` is then the colleague's. `peer`: the network address.
    """

    subject: str
    session: str
    expires_at: float
    on_behalf_of: str = ""
    acting_for: str = ""
    grant: Grant = NOTHING
    peer: str = ""

    @property
    def is_machine(self) -> bool:
        return self.subject.startswith("machine:")

    @property
    def machine(self) -> str:
        """The machine's name; "" for a person."""
        return self.subject.removeprefix("machine:") if self.is_machine else ""

    @property
    def actor(self) -> str:
        """Whose doing a write is: the person where there is one (a deputy, not the absent one), else the machine."""
        return self.on_behalf_of or self.subject

    @property
    def means(self) -> str:
        """By what he acts: his session, or the machine that acts for him."""
        return self.subject if self.is_machine else f"session {self.session}"

    @property
    def person_id(self) -> UUID:
        """The person who acts. Raises PermissionDenied where a machine calls for nobody."""
        if self.is_machine and not self.on_behalf_of:
            raise PermissionDenied("NOT_AN_EMPLOYEE", "this call needs an employee, and a machine called for nobody")
        return UUID(self.actor)

    @property
    def employee_id(self) -> UUID:
        """Whose work it is: the person's, or the absent colleague's for whom a deputy acts. Raises as person_id."""
        return UUID(self.acting_for) if self.acting_for else self.person_id

    @property
    def scope(self) -> Scope:
        """The customers that the call sees."""
        return self.grant.scope

    def holds(self, permission: int) -> bool:
        """Whether he has a permission beyond the one that the rpc asked for."""
        return permission in self.grant.permissions


NOBODY = Caller(subject="", session="", expires_at=0)


@dataclass(slots=True)
class Call:
    """The rpc under way: its name ("/package.Service/Method"), its (first) request, and whether the audit has it."""

    method: str = ""
    request: Any = None
    audited: bool = False


current_caller: ContextVar[Caller] = ContextVar("caller", default=NOBODY)
current_token: ContextVar[str] = ContextVar("token", default="")
current_call: ContextVar[Call | None] = ContextVar("call", default=None)


def caller() -> Caller:
    return current_caller.get()


def current_method() -> str:
    """The rpc under way; "" outside of one."""
    call = current_call.get()
    return call.method if call else ""
