"""Encryption at rest of what must not lie in a table in clear, under keys of a file that can be exchanged."""

import base64
import hashlib
import hmac
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
ID_BYTES = 8
NONCE_BYTES = 12


class KeysUnusable(RuntimeError):
    """The file of keys is missing, or holds what is no key. The message never quotes it."""


class NotOfThisKeyring(ValueError):
    """Something was encrypted under a key that isn't in the file, is bound to another place, or was changed."""


@dataclass(frozen=True)
class _Keys:
    """The file's keys, newest first, by their ids; `digesting` are derived from them, in the same order."""

    stamp: tuple[int, int]
    newest: bytes
    ciphers: Mapping[bytes, ChaCha20Poly1305]
    digesting: tuple[bytes, ...]


class Keyring:
    """Encrypts by ChaCha20-Poly1305 (RFC 8439) under the newest key of `file`, and decrypts under any of them.

    `file` holds a key a line: 32 random bytes as URL-safe base64, the newest first (see new_key). It is read again when
    it changes, so that a new key counts without a restart. Raises KeysUnusable, here and later.

    What is encrypted begins with 8 bytes that name its key (`newest_id`), so that SQL finds what is under an older one.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._known = self._read(self._stamp())

    @property
    def newest_id(self) -> bytes:
        """The 8 bytes that begin what is encrypted now."""
        return self._keys().newest

    def encrypt(self, clear: bytes, place: str) -> bytes:
        """`clear` under the newest key, bound to `place` (such as "national_ids/<customer>/<key>"): it can't be
        decrypted as belonging anywhere else. 36 bytes longer than `clear`.
        """
        keys = self._keys()
        nonce = os.urandom(NONCE_BYTES)
        return keys.newest + nonce + keys.ciphers[keys.newest].encrypt(nonce, clear, place.encode())

    def decrypt(self, sealed: bytes, place: str) -> bytes:
        """What `encrypt` was given. Raises NotOfThisKeyring."""
        cipher = self._keys().ciphers.get(sealed[:ID_BYTES])
        if cipher is None:
            raise NotOfThisKeyring("the key that this was encrypted under is not in the file of keys")
        nonce, rest = sealed[ID_BYTES : ID_BYTES + NONCE_BYTES], sealed[ID_BYTES + NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, rest, place.encode())
        except InvalidTag:
            raise NotOfThisKeyring("this was changed, or belongs elsewhere") from None

    def is_newest(self, sealed: bytes) -> bool:
        """Whether it is under the newest key."""
        return sealed[:ID_BYTES] == self.newest_id

    def digest(self, clear: bytes) -> bytes:
        """32 bytes (HMAC-SHA-256 under the newest key) that are equal for equal values and tell nothing else."""
        return hmac.digest(self._keys().digesting[0], clear, "sha256")

    def digests(self, clear: bytes) -> list[bytes]:
        """The digests of a value under every key, newest first: a stored one may be under an older key."""
        return [hmac.digest(key, clear, "sha256") for key in self._keys().digesting]

    def _keys(self) -> _Keys:
        stamp = self._stamp()
        if stamp != self._known.stamp:
            with self._lock:
                if stamp != self._known.stamp:
                    self._known = self._read(stamp)
        return self._known

    def _stamp(self) -> tuple[int, int]:
        try:
            found = self._file.stat()
        except OSError as error:
            raise KeysUnusable(f"{self._file}: {error.strerror}") from None
        return found.st_mtime_ns, found.st_ino

    def _read(self, stamp: tuple[int, int]) -> _Keys:
        keys = [_key_of(self._file, number, line) for number, line in enumerate(self._lines(), start=1)]
        if not keys:
            raise KeysUnusable(f"{self._file} holds no key")
        ciphers = {_id_of(key): ChaCha20Poly1305(key) for key in keys}
        return _Keys(stamp, _id_of(keys[0]), ciphers, tuple(_derived(key) for key in keys))

    def _lines(self) -> list[str]:
        try:
            return self._file.read_text("ascii").split()
        except (OSError, UnicodeDecodeError) as error:
            raise KeysUnusable(f"{self._file} can't be read: {type(error).__name__}") from None


def new_key() -> str:
    """A line of the file of keys."""
    return base64.urlsafe_b64encode(os.urandom(KEY_BYTES)).decode()


def _key_of(file: Path, number: int, line: str) -> bytes:
    try:
        key = base64.b64decode(line, altchars=b"-_", validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise KeysUnusable(f"{file}, line {number}: a key must be {KEY_BYTES} bytes as URL-safe base64")
    return key


def _id_of(key: bytes) -> bytes:
    return hashlib.sha256(b"kejing key id\0" + key).digest()[:ID_BYTES]


def _derived(key: bytes) -> bytes:
    """A key for digests: one key must not serve two purposes."""
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"kejing digest").derive(key)
