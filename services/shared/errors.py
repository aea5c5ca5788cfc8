"""Refusals that callers see. Each has a stable reason; one interceptor turns them into gRPC statuses with details.

A message may name fields, allowed values and ids, never secrets or personal data.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    """One thing that is wrong with the input: the field's path and what is allowed there."""

    field: str
    description: str


class Refusal(Exception):
    """A call that was understood and refused.

    `code` is the name of a gRPC status code, `reason` a stable UPPER_SNAKE word for programs, `message` a sentence for
    people, `metadata` further facts for programs, `violations` the fields that are wrong (INVALID_ARGUMENT) or the
    conditions that don't hold (FAILED_PRECONDITION).
    """

    code = "UNKNOWN"

    def __init__(self, reason: str, message: str, *, violations: Sequence[Violation] = (), **metadata: object) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.violations = tuple(violations)
        self.metadata = {key: str(value) for key, value in metadata.items()}


class InvalidArgument(Refusal):
    """A field holds what it must not hold: names the field, the value and what is allowed."""

    code = "INVALID_ARGUMENT"

    def __init__(self, field: str, value: object, allowed: str, reason: str = "INVALID_FIELD") -> None:
        shown = f"{value!r:.60}" if value not in (None, "") else "empty"
        super().__init__(reason, f"{field} is {shown}; {allowed}", violations=[Violation(field, allowed)], field=field)


class NotFound(Refusal):
    """No such thing, or not one that the caller may see: the two are never told apart."""

    code = "NOT_FOUND"

    def __init__(self, noun: str, key: object) -> None:
        super().__init__(f"{noun.upper().replace(' ', '_')}_NOT_FOUND", f"no {noun} {key}", key=key)


class FailedPrecondition(Refusal):
    """The call is right, but not now; `violations` say which conditions don't hold."""

    code = "FAILED_PRECONDITION"


class AlreadyExists(Refusal):
    code = "ALREADY_EXISTS"


class Conflict(Refusal):
    """Somebody else changed the thing meanwhile; read it and try again."""

    code = "ABORTED"


class ResourceExhausted(Refusal):
    """There are as many of it as there may be."""

    code = "RESOURCE_EXHAUSTED"


class PermissionDenied(Refusal):
    code = "PERMISSION_DENIED"


class Unauthenticated(Refusal):
    code = "UNAUTHENTICATED"


class Unavailable(Refusal):
    """Try again later, with the same request_id."""

    code = "UNAVAILABLE"
