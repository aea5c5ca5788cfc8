"""Brings a service's database to the newest schema: first the kit's own chain, then the service's."""

from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

KIT = "services.shared.db"


def upgrade(database_url: str, package: str) -> None:
    """Applies what is missing of the kit's migrations and of those under `package` (e.g. "services.tasks.storage").

    One at a time across all processes (advisory lock). A migration that waits longer than 4 s for a lock, or runs
    longer than 60 s, fails instead of stopping everybody else.
    """
    engine = create_engine(database_url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text("select pg_advisory_lock(hashtext('kejing migrations'))"))
            connection.execute(text("set lock_timeout = '4s'"))
            connection.execute(text("set statement_timeout = '60s'"))
            _apply(connection, KIT, "kit_version")
            _apply(connection, package, "version")
    finally:
        engine.dispose()


def head(package: str) -> str:
    """The newest revision of the chain under `package`."""
    return ScriptDirectory.from_config(_config(package)).get_current_head() or ""


def _config(package: str) -> Config:
    config = Config()
    config.set_main_option("script_location", f"{package}:migrations")
    config.set_main_option("path_separator", "os")
    return config


def _apply(connection: Connection, package: str, version_table: str) -> None:
    config = _config(package)
    script = ScriptDirectory.from_config(config)
    if not Path(script.dir).is_dir():
        raise RuntimeError(f"{package} has no migrations")

    def steps(revision: str, _context: object) -> object:
        return script._upgrade_revs("head", revision)

    with EnvironmentContext(config, script, fn=steps, destination_rev="head") as environment:
        environment.configure(connection=connection, version_table=version_table, transaction_per_migration=True)
        with environment.begin_transaction():
            environment.run_migrations()
