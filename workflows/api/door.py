"""The door of the workflows' process, which has no database and so no directory of who may do what."""

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from grpc_status import rpc_status

from kejing.common.v1 import options_pb2
from kejing.tasks.v1 import process_records_service_pb2 as pb
from kejing.tasks.v1 import process_records_service_pb2_grpc
from services.shared.access import Grant, Scope
from services.shared.errors import Unavailable
from services.shared.rpc.caller import Call, Caller, current_call
from services.shared.rpc.client import ACTING_FOR
from workflows.clients import refusal_of, status_of

CHECK_SECONDS = 3.0
ABOUT = ("process_id", "customer_id")
"""What an order may be about: fields of its request, and of CheckOrderRequest."""

_CHECK = pb.DESCRIPTOR.services_by_name["ProcessRecordsService"].methods_by_name["CheckOrder"]
_GRANTED = Grant(frozenset([_CHECK.GetOptions().Extensions[options_pb2.access].permission]), Scope())
"""The permission that CheckOrder asks for; no customer, because nothing is read here."""


class GrantedByTasks:
    """Grants (services.shared.access.directory) of a process that can't tell who may do what: every order, before
    anything else happens, is put to tasks by CheckOrder. That one call, with the caller's own token, checks session,
    permission and scope. Nothing of it is remembered.

    `records` forwards the caller's token; `orders` is the service whose orders come in.
    Raises TypeError where one of its rpcs doesn't say in its request what its order is about.
    """

    def __init__(
        self, records: "process_records_service_pb2_grpc.ProcessRecordsServiceAsyncStub", orders: ServiceDescriptor
    ) -> None:
        self._records = records
        self._about = {f"/{orders.full_name}/{method.name}": _about(method) for method in orders.methods}

    async def of(self, caller: Caller, acting_for: str) -> Grant:
        """Raises Refusal: what tasks says; Unavailable (TASKS_AWAY) where it doesn't answer."""
        call = current_call.get() or Call()
        about = self._about[call.method]
        check = pb.CheckOrderRequest(**{about: getattr(call.request, about)})
        metadata = ((ACTING_FOR, acting_for),) if acting_for else ()
        try:
            await self._records.CheckOrder(check, metadata=metadata, timeout=CHECK_SECONDS)
        except grpc.aio.AioRpcError as error:
            if rpc_status.from_call(error) is None:  # it never got there
                raise Unavailable(
                    "TASKS_AWAY", "tasks, which knows who may do what, does not answer; try again"
                ) from error
            raise refusal_of(status_of(error)) from None
        return _GRANTED


def _about(method: MethodDescriptor) -> str:
    for field in ABOUT:
        if field in method.input_type.fields_by_name and not method.client_streaming:
            return field
    raise TypeError(f"{method.full_name} must say in its request which process or customer its order is about")
