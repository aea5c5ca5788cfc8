"""Free ports for tests; each of several workers side by side takes them from a share of its own.

They lie below the range that systems take outgoing connections from. A port is taken for granted from when it was
chosen, so nobody else may choose it before somebody listens on it.
"""

import os
import random

from deploy.local import topology
from deploy.local.ports import is_free

STACKS, SINGLE = range(10_000, 20_000), range(20_000, 32_000)
STEP = 100
"""The ports of a stack lie within so many."""


def free_port() -> int:
    """A port that was free a moment ago."""
    return next(number for number in _shuffled(_share(SINGLE)) if is_free(number))


def free_port_base() -> int:
    """A KEJING_PORT_BASE whose ports were all free a moment ago."""
    return next(base for base in _shuffled(_share(STACKS)[::STEP]) if _all_free(base))


def _all_free(base: int) -> bool:
    every = topology.ports({"KEJING_PORT_BASE": str(base)}).values()
    return all(is_free(port.number) for ports in every for port in ports)


def _share(numbers: range) -> range:
    """This worker's part of `numbers`, by whole steps; pytest-xdist says which worker of how many this is."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    size = len(numbers) // STEP // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) * STEP
    return numbers[worker * size : (worker + 1) * size]


def _shuffled(numbers: range) -> list[int]:
    # not by the common generator: Hypothesis seeds that one, and then two tests choose alike
    return random.SystemRandom().sample(numbers, len(numbers))
