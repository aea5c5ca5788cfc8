"""The customers service in a process of its own, as it is but that it knows the employees' key by itself, and without
identity and NATS: `python -m tests.benchmarks.scoped_server DATABASE_URL PORT KEY_FILE`.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import SecretStr

from services.customers import consumers
from services.customers.api.customers import CustomersServicer
from services.customers.api.owners import OwnersServicer
from services.customers.storage.tables import metadata
from services.shared.keyring import Keyring, new_key
from services.shared.runtime import Service, run_process
from services.shared.settings import ServiceSettings
from tests.support.ports import free_port

NOW = datetime(2026, 11, 22, 4, tzinfo=UTC)
KEY_ID = "ffffffff-ffff-7fff-bfff-ffffffffffff"
"""A key made in the future: it is asked for as soon as a token names it."""


async def start() -> Service:
    url, port, key_file = sys.argv[1:]
    key: Any = load_pem_private_key(Path(key_file).read_bytes(), None)
    nowhere = f"127.0.0.1:{free_port()}"
    settings = ServiceSettings(
        bind=f"127.0.0.1:{port}", identity_address=nowhere, customers_address=nowhere,
        machine_key_file=Path(key_file), nats_url=SecretStr(f"nats://{nowhere}"), database_url=SecretStr(url),
    )  # fmt: skip
    zone = settings.business_time_zone
    service = Service("customers", settings, lambda: NOW, metadata, consumers.handlers(zone), knows_owners=False)

    keys_file = Path(f"{key_file}.encryption")
    keys_file.write_text(f"{new_key()}\n")
    keys_file.chmod(0o600)
    keyring = Keyring(keys_file)

    async def keys() -> dict[str, Any]:
        return {KEY_ID: key.public_key()}

    service.offer(
        CustomersServicer(service.db, lambda: NOW, zone, keyring),
        OwnersServicer(service.db, service.directory),
        public_keys=keys,
    )
    return service


if __name__ == "__main__":
    run_process("customers", "json", start)
