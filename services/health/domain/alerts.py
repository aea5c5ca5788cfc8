"""Which changes of health somebody wants to know of."""

from dataclasses import dataclass

from services.health.domain.rules import Status
from services.shared.errors import InvalidArgument

FALLS = (
    (Status.EXCELLENT, Status.FAIR),
    (Status.EXCELLENT, Status.AT_RISK),
    (Status.FAIR, Status.AT_RISK),
)


@dataclass(frozen=True)
class Transition:
    """A kind of change: `any_fall`, or from one status (None: any) to another (None: any)."""

    any_fall: bool
    before: Status | None
    after: Status | None

    def check(self, path: str) -> None:
        """Raises InvalidArgument, naming fields under `path`, for a change that can't be."""
        if self.any_fall and (self.before or self.after):
            raise InvalidArgument(f"{path}.any_fall", "true", "from and to must not be set beside any_fall")
        if not self.any_fall and not (self.before or self.after):
            raise InvalidArgument(path, "", "set any_fall, or from, or to, or both")
        if self.before and self.before == self.after:
            raise InvalidArgument(f"{path}.to", self.after, "it must differ from `from`")
        if self.after is Status.NOT_COMPUTED:
            raise InvalidArgument(f"{path}.to", self.after, "an evaluation never ends in NOT_COMPUTED")

    def matches(self, before: Status, after: Status) -> bool:
        """Whether the change from `before` to `after` is of this kind."""
        if self.any_fall:
            return (before, after) in FALLS
        return self.before in (None, before) and self.after in (None, after) and before != after
