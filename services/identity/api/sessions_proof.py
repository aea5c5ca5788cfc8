"""What a sign-in proves or why it is refused, and what the audit keeps of it."""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from services.shared.db import Write
from services.shared.errors import Refusal, Unauthenticated

IDENTITY = "machine:identity"


@dataclass(frozen=True)
class Proven:
    """Who signs in, and by what: `proof` is "password", "command", "oidc" or "machine".

    Either `employee_id` or `machine` is set. `hash` is that of the password which was right, `rehashed` the one that
    shall stand in its place.
    """

    proof: str
    employee_id: UUID | None = None
    machine: str = ""
    hash: str = ""
    rehashed: str = ""

    @property
    def subject(self) -> str:
        return str(self.employee_id) if self.employee_id else f"machine:{self.machine}"


class SignInRefused(Exception):
    """Signing in by `proof` failed. The caller sees `refusal`, the same one for every cause that isn't his to know;
    `cause` is for log and audit. `employee_id`: whose account it was about, where that is known.
    """

    def __init__(self, proof: str, cause: str, employee_id: UUID | None = None, refusal: Refusal | None = None) -> None:
        super().__init__(cause)
        self.proof = proof
        self.cause = cause
        self.employee_id = employee_id
        self.refusal = refusal or Unauthenticated("SIGN_IN_REFUSED", "signing in was refused")


def record(write: Write, proof: str, who: str, outcome: str, **facts: Any) -> None:
    """Lets the audit say who signed in, or was refused, by what. Of the request it keeps nothing: logins that nobody
    has may be passwords typed into the wrong field. Events of this transaction are his doing too.
    """
    write.actor = who or IDENTITY
    if write.doing:
        write.doing.call = replace(write.doing.call, request=None)
        write.doing.actor = write.doing.object_id = who
        write.doing.means = proof
        write.doing.change = {"proof": proof, "outcome": outcome, **facts}
