"""The connection to NATS, and the one stream that all events of the product lie in."""

import asyncio

from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import BadRequestError

from services.shared.logging import get_logger

STREAM = "KEJING"
DAY_SECONDS = 24 * 3600
NAME_IN_USE = 10058
"""NATS' error code for a stream that exists with other settings."""

_CONFIG = StreamConfig(
    name=STREAM,
    subjects=["kejing.>"],
    retention=RetentionPolicy.LIMITS,
    storage=StorageType.FILE,
    max_age=30 * DAY_SECONDS,
    duplicate_window=10 * 60,
)


async def connect(client: Client, url: str, process: str) -> None:
    """Connects `client`, for as long as it takes: a broker that is down delays events, it stops no service."""
    log = get_logger()

    async def on_error(error: Exception) -> None:
        log.warning("nats", error=f"{type(error).__name__}: {error}"[:300])

    while True:
        try:
            await client.connect(
                url,
                name=process,
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                reconnect_time_wait=1,
                connect_timeout=3,
                error_cb=on_error,
            )
            return
        except OSError as error:  # the client gives up where it loses its first connection with something to send
            await on_error(error)
            await asyncio.sleep(1)


async def ensure_stream(jetstream: JetStreamContext) -> str:
    """Makes the stream if it is missing; answers when it was made, which tells a new stream from the old one."""
    try:
        await jetstream.add_stream(_CONFIG)
    except BadRequestError as error:
        if error.err_code != NAME_IN_USE:
            raise
        await jetstream.update_stream(_CONFIG)  # it exists with settings of another release: ours win
    created = (await jetstream.stream_info(STREAM)).created
    return str(created)
