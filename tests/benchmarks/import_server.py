"""The customers service in a process of its own, as it is but that it knows the employees' key by itself, and without
identity: `python -m tests.benchmarks.import_server DATABASE_URL NATS_URL PORT KEY_FILE`.
"""

import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import SecretStr

from services.customers import consumers
from services.customers.api.imports import ImportsServicer
from services.customers.storage.tables import metadata
from services.shared.clock import utc_now
from services.shared.keyring import Keyring, new_key
from services.shared.runtime import Service, run_process
from services.shared.settings import ServiceSettings
from tests.benchmarks.scoped_server import KEY_ID
from tests.support.ports import free_port


async def start() -> Service:
    url, nats_url, port, key_file = sys.argv[1:]
    key: Any = load_pem_private_key(Path(key_file).read_bytes(), None)
    nowhere = f"127.0.0.1:{free_port()}"
    settings = ServiceSettings(
        bind=f"127.0.0.1:{port}", identity_address=nowhere, customers_address=nowhere,
        machine_key_file=Path(key_file), nats_url=SecretStr(nats_url), database_url=SecretStr(url),
    )  # fmt: skip
    keys_file = Path(f"{key_file}.encryption")
    keys_file.write_text(new_key())
    zone = settings.business_time_zone
    service = Service("customers", settings, utc_now, metadata, consumers.handlers(zone), knows_owners=False)

    async def keys() -> dict[str, Any]:
        return {KEY_ID: key.public_key()}

    service.offer(ImportsServicer(service.db, Keyring(keys_file), zone), public_keys=keys)
    return service


if __name__ == "__main__":
    run_process("customers", "json", start)
