"""How long activities may take and how they are tried again. Named by what waits for them."""

from datetime import timedelta

from temporalio.common import Priority, RetryPolicy

ATTEMPT = timedelta(seconds=12)
"""One attempt of a call to a service: a little more than the call's own deadline of 10 s."""

STEP = timedelta(seconds=32)
"""One attempt of a step of bulk work: a little more than its call's own deadline (workflows.clients.STEP_SECONDS). The
service ends a step after some seconds by itself; a busy machine takes longer."""

HEARTBEAT = timedelta(seconds=5)
"""A step that is silent for so long has died with its process, and is done again."""

PATIENT = RetryPolicy(initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(seconds=30))
"""Nobody waits. Tried for ever: a service that is down only delays. What can't succeed says so itself: refusals of
services are raised as non-retryable errors (workflows.clients)."""

PROMPT = RetryPolicy(initial_interval=timedelta(milliseconds=100), maximum_interval=timedelta(seconds=2))
"""A person waits for the answer."""

ORDER_LIFE = timedelta(seconds=60)
"""A person's order that could not be begun within this time is refused instead of surprising that person later."""

BULK = Priority(priority_key=5)
"""For work that comes in masses; what people do goes before it."""
