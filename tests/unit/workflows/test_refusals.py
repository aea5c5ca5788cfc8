"""A refusal comes out of a workflow as it went in."""

from temporalio.exceptions import ApplicationError

from services.shared.errors import FailedPrecondition, InvalidArgument, Violation
from services.shared.rpc.interceptor import to_status
from workflows.clients import reason_of, refusal_of, refusal_of_error


def test_code_reason_fields_and_metadata_survive() -> None:
    for refusal in (
        FailedPrecondition("REQUIRED_TASKS_OPEN", "a task is open", violations=[Violation("t1", "call")], count=1),
        InvalidArgument("stage", "x", "one of a, b"),
    ):
        status = to_status(refusal)
        assert reason_of(status) == refusal.reason
        again = refusal_of(status)
        assert (again.code, again.reason, again.message) == (refusal.code, refusal.reason, refusal.message)
        assert (again.violations, again.metadata) == (refusal.violations, refusal.metadata)
        carried = ApplicationError("m", status.SerializeToString(), type=refusal.reason)
        assert refusal_of_error(carried).violations == refusal.violations


def test_a_refusal_by_the_workflows_own_rules_names_its_code() -> None:
    refusal = refusal_of_error(ApplicationError("m", "FAILED_PRECONDITION", 7, type="STAGE_ORDER"))
    assert (refusal.code, refusal.reason, refusal.message) == ("FAILED_PRECONDITION", "STAGE_ORDER", "m")
