"""Who makes the present call, as its token says."""

from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID

from services.shared.errors import PermissionDenied


@dataclass(frozen=True, slots=True)
class Caller:
    """`subject` is the token's: an employee's id or "machine:<name>"; `expires_at` in seconds since 1970.

    A machine that acts for a person names that person in `on_behalf_of`.
    """

    subject: str
    session: str
    expires_at: float
    on_behalf_of: str = ""

    @property
    def is_machine(self) -> bool:
        return self.subject.startswith("machine:")

    @property
    def actor(self) -> str:
        """Whose doing a write is: the person where there is one, else the machine."""
        return self.on_behalf_of or self.subject

    @property
    def employee_id(self) -> UUID:
        """The person's id. Raises PermissionDenied where a machine calls for nobody."""
        if self.is_machine and not self.on_behalf_of:
            raise PermissionDenied("NOT_AN_EMPLOYEE", "this call needs an employee, and a machine called for nobody")
        return UUID(self.actor)


NOBODY = Caller(subject="", session="", expires_at=0)

current_caller: ContextVar[Caller] = ContextVar("caller", default=NOBODY)
current_token: ContextVar[str] = ContextVar("token", default="")
current_method: ContextVar[str] = ContextVar("method", default="")


def caller() -> Caller:
    return current_caller.get()
