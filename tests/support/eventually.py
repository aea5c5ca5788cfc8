"""Waiting for a condition instead of for a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(check: Callable[[], Awaitable[T]], *, within: float = 20.0) -> T:
    """The first truthy answer of `check`; AssertionErrors mean "not yet". Fails after `within` seconds."""
    deadline = asyncio.get_running_loop().time() + within
    while True:
        failure: AssertionError | None = None
        try:
            answer = await check()
            if answer:
                return answer
        except AssertionError as error:
            failure = error
        if asyncio.get_running_loop().time() > deadline:
            raise failure or AssertionError(f"nothing true within {within} s; the last answer was {answer!r}")
        await asyncio.sleep(0.05)
