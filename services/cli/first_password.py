"""The first administrator's first password: made when a new stack is up, and answered once."""

from typing import Any

import grpc

from deploy.local.home import Home
from services.cli.failure import CommandFailed, reason_of
from services.cli.tokens import DEADLINE_SECONDS, FIRST_ADMINISTRATOR, by_command_key

NONE_NEEDED = {"PASSWORD_SET", "SIGN_IN_REFUSED", "EMPLOYEE_INACTIVE", "PERMISSION_MISSING"}
"""He has a password, or this installation is in other hands by now."""


def first_password(home: Home) -> str:
    """A password for the first administrator of the stack that runs on `home`; "" where none is needed.

    Raises:
        CommandFailed: identity could not be asked; says how to get a password later.
    """
    from kejing.identity.v1.employees_service_pb2 import GetMeRequest, ResetPasswordRequest
    from kejing.identity.v1.employees_service_pb2_grpc import EmployeesServiceStub
    from services.cli.client import channel

    try:
        metadata = (("authorization", f"Bearer {by_command_key(home, FIRST_ADMINISTRATOR)}"),)
        with channel("identity") as to_identity:
            service = EmployeesServiceStub(to_identity)
            me = service.GetMe(GetMeRequest(), metadata=metadata, timeout=DEADLINE_SECONDS).employee
            wanted = ResetPasswordRequest(employee_id=me.id, only_first=True)
            answer = service.ResetPassword(wanted, metadata=metadata, timeout=DEADLINE_SECONDS)
    except grpc.RpcError as error:
        if reason_of(error) in NONE_NEEDED:
            return ""
        refused: Any = error
        raise CommandFailed(
            f"the administrator's first password could not be made ({refused.details()}); "
            f"`kejing employee password {FIRST_ADMINISTRATOR} --as {FIRST_ADMINISTRATOR}` makes one"
        ) from error
    password: str = answer.password
    return password
