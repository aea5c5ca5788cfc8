"""How a command says that it did not do what it was told."""

from typing import Any


class CommandFailed(Exception):
    """The command could not do it; the message says why, for a person at a terminal."""


def lines_of(error: Any) -> list[str]:
    """What an rpc's error says: the status and its message, then a line a detail (reason, field, condition).

    Args:
        error: a grpc.RpcError as a call raises it.
    """
    from google.rpc import error_details_pb2
    from grpc_status import rpc_status

    lines = [f"kejing: {error.code().name}: {error.details()}"]
    status = rpc_status.from_call(error)
    if status is None and error.code().name == "UNAVAILABLE":
        lines.append("  `kejing status` tells what runs")
    for detail in status.details if status else ():
        info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        condition = error_details_pb2.PreconditionFailure()
        if detail.Unpack(info):
            facts = ", ".join(f"{name} {value}" for name, value in sorted(info.metadata.items()))
            lines.append(f"  reason {info.reason}" + (f" ({facts})" if facts else ""))
        elif detail.Unpack(request):
            lines += [f"  field {each.field}: {each.description}" for each in request.field_violations]
        elif detail.Unpack(condition):
            lines += [f"  missing {each.subject or each.type}: {each.description}" for each in condition.violations]
    return lines


def reason_of(error: Any) -> str:
    """The stable reason that a service refused with; "" where it gave none."""
    from google.rpc import error_details_pb2
    from grpc_status import rpc_status

    status, info = rpc_status.from_call(error), error_details_pb2.ErrorInfo()
    return next((info.reason for detail in (status.details if status else ()) if detail.Unpack(info)), "")
