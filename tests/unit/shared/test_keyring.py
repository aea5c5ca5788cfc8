"""The keyring: what is encrypted opens under its keys, at its place, and nowhere else."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.home import Home
from services.shared.keyring import Keyring, KeysUnusable, NotOfThisKeyring, new_key


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.prepare()
    return home


@given(clear=st.binary(max_size=100), place=st.text(max_size=20))
def test_what_is_encrypted_decrypts_to_itself(clear: bytes, place: str) -> None:
    with tempfile.NamedTemporaryFile("w") as file:
        print(new_key(), file=file, flush=True)
        keyring = Keyring(Path(file.name))
        sealed = keyring.encrypt(clear, place)
        assert keyring.decrypt(sealed, place) == clear
    assert len(sealed) == len(clear) + 36
    assert len(clear) < 8 or clear not in sealed


def test_it_opens_nowhere_but_at_its_place(home: Home) -> None:
    keyring = Keyring(home.encryption_keys)
    sealed = keyring.encrypt(b"11010519491231002X", "here")
    with pytest.raises(NotOfThisKeyring):
        keyring.decrypt(sealed, "there")
    with pytest.raises(NotOfThisKeyring):
        keyring.decrypt(sealed[:-1] + bytes([sealed[-1] ^ 1]), "here")


def test_a_new_key_counts_at_once_and_the_old_one_still_opens(home: Home) -> None:
    keyring = Keyring(home.encryption_keys)
    sealed, digest = keyring.encrypt(b"secret", "here"), keyring.digest(b"secret")
    home.add_encryption_key()
    assert not keyring.is_newest(sealed)
    assert keyring.decrypt(sealed, "here") == b"secret"
    assert keyring.is_newest(keyring.encrypt(b"secret", "here"))
    assert keyring.digest(b"secret") != digest
    assert digest in keyring.digests(b"secret")


def test_two_keys_are_kept_of_many(home: Home) -> None:
    keyring = Keyring(home.encryption_keys)
    oldest = keyring.encrypt(b"secret", "here")
    home.add_encryption_key()
    older = keyring.encrypt(b"secret", "here")
    home.add_encryption_key()
    home.forget_encryption_keys()
    assert keyring.decrypt(older, "here") == b"secret"
    with pytest.raises(NotOfThisKeyring):
        keyring.decrypt(oldest, "here")


def test_the_file_of_keys_is_closed_to_others(home: Home) -> None:
    home.add_encryption_key()
    assert home.encryption_keys.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["", "abc", "not base64 at all", "A" * 40], ids=["empty", "short", "words", "cut"])
def test_a_file_without_good_keys_is_refused_without_quoting_it(tmp_path: Path, content: str) -> None:
    file = tmp_path / "keys"
    file.write_text(content)
    with pytest.raises(KeysUnusable) as refused:
        Keyring(file)
    assert not content or content not in str(refused.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeysUnusable, match="No such file"):
        Keyring(tmp_path / "keys")
