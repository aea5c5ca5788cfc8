"""What the chapters of the story share: who is signed in, the data, and the ids that came of them."""

import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import grpc

from services.cli.client import Connection, call_metadata
from services.cli.demo.data.customers import Customer, customers
from services.cli.demo.data.orders import Order, orders
from services.cli.demo.teller import Teller
from services.cli.failure import CommandFailed, lines_of
from services.cli.output import business_zone

T = TypeVar("T")


@dataclass
class Stage:
    """`run` marks what this telling makes, so that a second one makes its own."""

    teller: Teller
    zone: ZoneInfo
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    employees: dict[str, str] = field(default_factory=dict)
    """Login → id."""
    customer_ids: dict[str, str] = field(default_factory=dict)
    """External id → id."""
    _connections: dict[str, Connection] = field(default_factory=dict)
    _requests: int = 0

    def __post_init__(self) -> None:
        self.customers: list[Customer] = customers()
        self.orders: list[Order] = orders(self.customers, self.today.replace(day=1))

    @property
    def now(self) -> datetime:
        """In the business time zone."""
        return datetime.now(UTC).astimezone(self.zone)

    @property
    def today(self) -> date:
        """The business date."""
        return self.now.date()

    def stub(self, stub_class: Callable[[grpc.Channel], T], login: str = "admin") -> T:
        """A stub whose calls are those of the employee."""
        return self._as(login).stub(stub_class)

    def _as(self, login: str) -> Connection:
        if login not in self._connections:
            self._connections[login] = Connection(call_metadata(login))
        return self._connections[login]

    def signed_in(self, login: str, access_token: str) -> None:
        """The employee's calls carry this token from now on."""
        if known := self._connections.pop(login, None):
            known.close()
        self._connections[login] = Connection((("authorization", f"Bearer {access_token}"),))

    def deputy(self, login: str, absent: str) -> Connection:
        """The employee's calls for an absent colleague; to be closed."""
        return Connection(call_metadata(login, absent))

    def request_id(self) -> str:
        """A new one for each write."""
        self._requests += 1
        return f"demo-{self.run}-{self._requests}"

    def name_of(self, customer_id: str) -> str:
        """How the story calls a customer."""
        external = next((key for key, value in self.customer_ids.items() if value == customer_id), "")
        return next((c.short_name or c.external_id for c in self.customers if c.external_id == external), customer_id)

    def login_of(self, employee_id: str) -> str:
        return next((login for login, known in self.employees.items() if known == employee_id), employee_id)

    def once_known(self, call: Callable[[], T]) -> T:
        """What `call` answers once what it names has reached the other service; until then that answers NOT_FOUND."""
        answers: list[T] = []

        def check() -> bool:
            try:
                answers.append(call())
            except grpc.RpcError as error:
                if _code(error) != grpc.StatusCode.NOT_FOUND:
                    raise
                return False
            return True

        self.teller.until("the other service has heard of it", check)
        return answers[0]

    def refused(self, call: Callable[[], Any], reason: str) -> None:
        """Tells the refusal that `call` must end with. Raises CommandFailed where it ends otherwise."""
        try:
            call()
        except grpc.RpcError as error:
            first, *details = lines_of(error)
            if not any(reason in line for line in details):
                raise
            missing = [line.strip() for line in details if line.strip().startswith("missing")]
            self.teller.refused(f"{first.removeprefix('kejing: ')} ({reason})", missing)
        else:
            raise self.teller.failed(f"the call should have been refused with {reason}")

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()


def set_up() -> Stage:
    """A stage for the stack of this home. Raises CommandFailed where everybody would be the same person."""
    if os.environ.get("KEJING_TOKEN"):
        raise CommandFailed("unset KEJING_TOKEN: the story is played by several employees")
    return Stage(Teller(), business_zone())


def _code(error: Any) -> grpc.StatusCode:
    code: grpc.StatusCode = error.code()
    return code
