"""The rebuild: a Temporal that is not the one we knew (wiped, moved) gets everything from the rows again."""

import asyncio
from zoneinfo import ZoneInfo

import grpc
from nats.aio.client import Client as Nats
from nats.errors import Error as NatsError
from nats.js.errors import BucketNotFoundError, KeyNotFoundError
from nats.js.kv import KeyValue
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from services.shared.logging import get_logger
from workflows.clients import Clients
from workflows.names import register_search_attributes
from workflows.pace import BULK_STARTS_PER_SECOND, Pace
from workflows.schedules import ensure_schedules
from workflows.sweep import send_all

EVERY_SECONDS = 60.0
AGAIN_SECONDS = 2.0
BUCKET = "processes"
"""JetStream key-value bucket; the process's NATS user may write to it."""
KEY = "temporal-namespace"


async def run_rebuild(temporal: Client, nats: Nats, clients: Clients, zone: ZoneInfo) -> None:
    """Looks every minute, until cancelled, whether Temporal is still the same, and rebuilds it where it isn't."""
    while True:
        try:
            await rebuild_if_new(temporal, nats, clients, zone)
        except (RPCError, grpc.aio.AioRpcError, NatsError, OSError, TimeoutError) as error:
            get_logger().warning("rebuild waits", error=f"{type(error).__name__}: {error}"[:300])
            await asyncio.sleep(AGAIN_SECONDS)
        else:
            await asyncio.sleep(EVERY_SECONDS)


async def rebuild_if_new(temporal: Client, nats: Nats, clients: Clients, zone: ZoneInfo) -> bool:
    """Compares Temporal's namespace with the one that was filled last; fills a new one. Answers whether it was new.

    The namespace is noted only after everything was sent, so that a rebuild that was cut off is done again.
    """
    bucket = await _bucket(nats)
    answer = await temporal.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace=temporal.namespace), retry=True
    )
    present = answer.namespace_info.id.encode()
    try:
        known = (await bucket.get(KEY)).value
    except KeyNotFoundError:
        known = None
    if known == present:
        return False
    await register_search_attributes(temporal)
    await ensure_schedules(temporal, zone)
    tasks, processes = await send_all(temporal, clients, zone.key, Pace(BULK_STARTS_PER_SECOND))
    await bucket.put(KEY, present)
    get_logger().info("temporal was filled from the rows", tasks=tasks, processes=processes)
    return True


async def _bucket(nats: Nats) -> KeyValue:
    jetstream = nats.jetstream(timeout=10)
    try:
        return await jetstream.key_value(BUCKET)
    except BucketNotFoundError:
        return await jetstream.create_key_value(bucket=BUCKET, history=1)
