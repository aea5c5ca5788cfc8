"""The keys of a home: made where they are missing, kept where they are, closed to others."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from deploy.local.home import Home
from services.shared.rpc.assertion import public_key_of

MACHINES = ("identity", "tasks")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_a_home_of_an_earlier_release_gets_the_keys_it_lacks_and_keeps_its_own(home: Home) -> None:
    home.prepare()
    command = home.command_key.read_bytes()
    home.prepare(MACHINES)
    tasks = home.machine_key("tasks").read_bytes()
    home.prepare(MACHINES)
    assert home.command_key.read_bytes() == command
    assert home.machine_key("tasks").read_bytes() == tasks
    assert len({command, tasks, home.machine_key("identity").read_bytes()}) == 3


def test_identity_believes_the_keys_that_the_machines_hold(home: Home) -> None:
    home.prepare(MACHINES)
    home.machine_key("tasks").unlink()
    home.prepare(MACHINES)  # exchanged: its public half follows
    for name in MACHINES:
        published = serialization.load_pem_public_key((home.machine_keys / f"{name}.pub").read_bytes())
        assert published == public_key_of(home.machine_key(name))


def test_keys_are_closed_to_others(home: Home) -> None:
    home.prepare(MACHINES)
    keys = [home.path, *(home.path / "keys").rglob("*")]
    assert len(keys) == 1 + 1 + 1 + len(MACHINES) + 1 + len(MACHINES)
    assert [path for path in keys if path.stat().st_mode & 0o077] == []
