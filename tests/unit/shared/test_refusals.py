"""Refusals reach callers as a status with a stable reason and the fields at fault."""

from typing import TypeVar

import pytest
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from kejing.customers.v1.customers_service_pb2 import BatchGetCustomersRequest
from kejing.tasks.v1.tasks_service_pb2 import CreateTaskRequest
from services.shared.errors import FailedPrecondition, InvalidArgument, NotFound, Violation
from services.shared.rpc.interceptor import check, to_status

M = TypeVar("M", bound=Message)


def detail(status: status_pb2.Status, kind: type[M]) -> M:
    found = kind()
    assert any(packed.Unpack(found) for packed in status.details)
    return found


def test_not_found_names_the_thing_by_its_id() -> None:
    status = to_status(NotFound("task", "T-1"))
    assert status.code == code_pb2.NOT_FOUND
    assert detail(status, error_details_pb2.ErrorInfo).reason == "TASK_NOT_FOUND"


def test_a_wrong_field_is_named_with_its_value_and_what_is_allowed() -> None:
    status = to_status(InvalidArgument("deadline", "2020-01-01", "it must lie ahead", reason="DEADLINE_PASSED"))
    assert status.message == "deadline is '2020-01-01'; it must lie ahead"
    assert [v.field for v in detail(status, error_details_pb2.BadRequest).field_violations] == ["deadline"]


def test_an_unmet_condition_names_what_is_missing() -> None:
    refusal = FailedPrecondition("REQUIRED_TASKS_OPEN", "1 task is open", violations=[Violation("task/7", "kick-off")])
    found = detail(to_status(refusal), error_details_pb2.PreconditionFailure)
    assert [(v.type, v.subject) for v in found.violations] == [("REQUIRED_TASKS_OPEN", "task/7")]


def test_every_field_that_breaks_a_rule_of_the_contract_is_named() -> None:
    with pytest.raises(InvalidArgument) as refusal:
        check(CreateTaskRequest(customer_id="x", title="t" * 201, theme_key="delivery"))
    assert {v.field for v in refusal.value.violations} == {"request_id", "customer_id", "title", "deadline"}


def test_of_many_violations_the_first_are_named_as_far_as_metadata_goes() -> None:
    with pytest.raises(InvalidArgument) as refusal:
        check(BatchGetCustomersRequest(customer_ids=[f"bad{number}" for number in range(500)]))
    many = to_status(refusal.value)
    assert detail(many, error_details_pb2.BadRequest).field_violations[0].field == "customer_ids[0]"
    tasks = [Violation(f"task/{number}", "启动会" * 66) for number in range(50)]
    long = to_status(FailedPrecondition("REQUIRED_TASKS_OPEN", "50 tasks are open", violations=tasks))
    assert detail(long, error_details_pb2.PreconditionFailure).violations[0].subject == "task/0"
    assert all(status.ByteSize() < 6000 for status in (many, long))


def test_a_long_value_is_cut_in_the_message() -> None:
    assert len(InvalidArgument("title", "x" * 5000, "200 characters at most").message) < 150
