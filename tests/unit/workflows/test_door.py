"""What the contracts let the workflows' process do, and whom they let give it orders."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from kejing.common.v1 import options_pb2
from kejing.notifications.v1 import inbox_service_pb2
from kejing.processes.v1 import processes_service_pb2
from kejing.tasks.v1 import process_records_service_pb2, process_records_service_pb2_grpc
from services.shared.rpc.client import channel
from workflows.api.door import GrantedByTasks
from workflows.clients import MACHINE

ROOT = Path(__file__).parents[3]
ORDERS = processes_service_pb2.DESCRIPTOR.services_by_name["ProcessesService"]
CHECK = process_records_service_pb2.DESCRIPTOR.services_by_name["ProcessRecordsService"].methods_by_name["CheckOrder"]


def access(method: MethodDescriptor) -> options_pb2.Access:
    declared: options_pb2.Access = method.GetOptions().Extensions[options_pb2.access]
    return declared


def methods() -> Iterator[MethodDescriptor]:
    """Every rpc of the product."""
    for path in (ROOT / "protos").glob("kejing/**/*.proto"):
        name = path.relative_to(ROOT / "protos").with_suffix("").as_posix().replace("/", ".")
        for service in importlib.import_module(f"{name}_pb2").DESCRIPTOR.services_by_name.values():
            yield from service.methods


async def door(orders: ServiceDescriptor) -> GrantedByTasks:
    async with channel("127.0.0.1:1") as nowhere:
        return GrantedByTasks(process_records_service_pb2_grpc.ProcessRecordsServiceStub(nowhere), orders)


@pytest.mark.parametrize("method", list(ORDERS.methods), ids=lambda method: method.name)
def test_an_order_needs_the_permission_that_tasks_checks_and_no_machine_gives_one(method: MethodDescriptor) -> None:
    assert access(method) == access(CHECK)
    assert access(method).permission
    assert not access(method).machines


async def test_every_order_says_what_it_is_about() -> None:
    await door(ORDERS)


async def test_a_service_with_an_order_about_nothing_is_not_offered() -> None:
    with pytest.raises(TypeError, match="ListInbox must say"):
        await door(inbox_service_pb2.DESCRIPTOR.services_by_name["InboxService"])


def test_the_process_may_do_what_it_does_and_nothing_else() -> None:
    code = "".join(path.read_text() for path in (ROOT / "workflows").rglob("*.py"))
    called = set(re.findall(r"\.([A-Z]\w+)\(", code)) - {CHECK.name}  # that one goes with the token of a person
    machine = options_pb2.Machine.Value(f"MACHINE_{MACHINE.upper()}")
    allowed = {method.name for method in methods() if machine in access(method).machines}
    assert allowed == called & {method.name for method in methods()}
