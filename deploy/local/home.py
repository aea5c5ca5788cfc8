"""KEJING_HOME: the folder that holds everything of one embedded stack, and the secrets in it."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

FOLDERS = ("postgres", "nats", "temporal", "logs", "run", "keys")


class HomeInUse(RuntimeError):
    """Another stack runs on this home."""


@dataclass(frozen=True)
class Secrets:
    """Passwords of the embedded servers.

    Attributes:
        superuser: of Postgres' role `postgres`.
        databases: service → password of its role.
        events: service → password of its NATS user.
    """

    superuser: str
    databases: Mapping[str, str]
    events: Mapping[str, str]


@dataclass(frozen=True)
class Home:
    """Paths inside a home; nothing exists before `prepare`."""

    path: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Home":
        """The home that KEJING_HOME names, else ~/.kejing."""
        return cls(Path(environment.get("KEJING_HOME") or "~/.kejing").expanduser().absolute())

    @property
    def state(self) -> Path:
        return self.path / "run" / "state.json"

    @property
    def command_key(self) -> Path:
        """Ed25519 private key (PEM): who can read it may sign in as anybody, as the owner of this home."""
        return self.path / "keys" / "command.pem"

    @property
    def machine_keys(self) -> Path:
        """The public halves (PEM) of the machines' keys, <name>.pub: whom identity believes to be which machine."""
        return self.path / "keys" / "machines"

    def machine_key(self, name: str) -> Path:
        """Ed25519 private key (PEM) of one of our processes."""
        return self.path / "keys" / f"{name}.pem"

    @property
    def encryption_keys(self) -> Path:
        """Keys that customers encrypts national ids and the files of imports under, the newest first."""
        return self.path / "keys" / "encryption.keys"

    def add_encryption_key(self) -> None:
        """Puts a new key in front; running services take it up by themselves. What is older stays readable."""
        from services.shared.keyring import new_key

        known = self.encryption_keys.read_text("ascii") if self.encryption_keys.exists() else ""
        write_private(self.encryption_keys, f"{new_key()}\n{known}".encode())

    def forget_encryption_keys(self) -> None:
        """Removes keys under which nothing lies any more: all but the newest and the one before it, which a write that
        is still under way may use.
        """
        known = self.encryption_keys.read_text("ascii").split()
        write_private(self.encryption_keys, "".join(f"{key}\n" for key in known[:2]).encode())

    def log(self, part: str) -> Path:
        return self.path / "logs" / f"{part}.log"

    def prepare(self, machines: Sequence[str] = ()) -> None:
        """Makes the folders, closed to other users, and the keys where missing: the command's, each machine's, and the
        first one for encryption.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in FOLDERS:
            (self.path / folder).mkdir(mode=0o700, exist_ok=True)
        for file in [self.command_key, *map(self.machine_key, machines)]:
            if not file.exists():
                _make_key(file)
        if not self.encryption_keys.exists():
            self.add_encryption_key()
        self.machine_keys.mkdir(mode=0o700, exist_ok=True)
        for name in machines:
            write_private(self.machine_keys / f"{name}.pub", _public_half(self.machine_key(name)))

    def secrets(self, databases: Sequence[str], publishers: Sequence[str]) -> Secrets:
        """The stored passwords; those that are still missing are made and stored first."""
        file = self.path / "keys" / "secrets.json"
        stored = cast("dict[str, Any]", json.loads(file.read_text()) if file.exists() else {})
        complete = Secrets(
            superuser=stored.get("superuser") or secrets.token_hex(24),
            databases=_completed(stored.get("databases", {}), databases),
            events=_completed(stored.get("events", {}), publishers),
        )
        if asdict(complete) != stored:
            write_private(file, json.dumps(asdict(complete), indent=2).encode())
        return complete

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the home for one stack.

        Raises:
            HomeInUse: when another process holds it; names that process.
        """
        file = os.open(self.path / "run" / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(file, 20).decode() or "unknown"
                raise HomeInUse(
                    f"a stack already runs on {self.path} (process {holder}); `kejing status` shows it, "
                    "`kejing down` ends it"
                ) from None
            os.truncate(file, 0)
            os.write(file, str(os.getpid()).encode())
            yield
        finally:
            os.close(file)


def _make_key(file: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(file, pem)


def _public_half(file: Path) -> bytes:
    from cryptography.hazmat.primitives import serialization

    public = serialization.load_pem_private_key(file.read_bytes(), None).public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def write_private(path: Path, content: bytes) -> None:
    """Replaces a file as a whole; only its owner may read it."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(file, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(path)


def _completed(stored: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    return {**stored, **{name: secrets.token_hex(24) for name in names if name not in stored}}
