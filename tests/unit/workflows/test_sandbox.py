"""What the sandbox shares and what it watches."""

from itertools import chain

from workflows.worker import PACKAGES, sandbox


def test_no_workflow_module_is_passed_through() -> None:
    """Its clock and randomness would no longer be watched."""
    shared = sandbox().restrictions.passthrough_modules
    for package in chain(*PACKAGES.values()):
        for workflow in package.WORKFLOWS:
            parts = workflow.__module__.split(".")
            assert not any(".".join(parts[: n + 1]) in shared for n in range(len(parts))), workflow


def test_all_types_are_passed_through() -> None:
    """The sandbox's own copies of a dataclass can't be decoded."""
    shared = sandbox().restrictions.passthrough_modules
    assert {f"{package.__name__}.types" for package in chain(*PACKAGES.values())} <= shared
