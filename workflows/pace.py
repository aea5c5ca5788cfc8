"""A rate limit, for starts that come in masses."""

import asyncio


class Pace:
    """Lets at most `per_second` through, evenly spread."""

    def __init__(self, per_second: float) -> None:
        self._gap = 1 / per_second
        self._next_at = 0.0

    async def turn(self) -> None:
        """Returns when it is the caller's turn."""
        now = asyncio.get_running_loop().time()
        at = max(now, self._next_at)
        self._next_at = at + self._gap
        if at > now:
            await asyncio.sleep(at - now)


BULK_STARTS_PER_SECOND = 50
"""A third of what the embedded Temporal does, so that people's starts find it free."""
