"""What the processes of the stack are told: their own keys and passwords, and nobody else's."""

from pathlib import Path

import pytest

from deploy.local import parts, topology
from deploy.local.home import Home
from deploy.local.process import Process, Program
from tests.support.eventually import eventually


@pytest.fixture
def environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, str]]:
    """What each of our own processes is told, by its name."""
    monkeypatch.setenv("KEJING_OIDC_CLIENT_SECRET", "of the provider")
    home = Home(tmp_path)
    home.prepare(topology.MACHINES)
    secrets = home.secrets(topology.DATABASES, topology.EVENT_PUBLISHERS)
    told = [parts.service(home, secrets, topology.ports({}), which) for which in topology.SERVICES]
    return {program.name: dict(program.environment) for program in told}


def test_each_process_is_told_its_own_key(environments: dict[str, dict[str, str]]) -> None:
    assert {Path(each["KEJING_MACHINE_KEY_FILE"]).stem: name for name, each in environments.items()} == {
        name: name for name in topology.MACHINES
    }


def test_only_identity_is_told_of_the_command_key_the_machines_and_the_provider(
    environments: dict[str, dict[str, str]],
) -> None:
    for setting in ("KEJING_COMMAND_KEY_FILE", "KEJING_MACHINE_KEYS", "KEJING_OIDC_CLIENT_SECRET"):
        assert [name for name, each in environments.items() if setting in each] == ["identity"]


async def test_a_program_does_not_inherit_the_secrets_of_who_starts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEJING_OIDC_CLIENT_SECRET", "of the provider")
    monkeypatch.setenv("KEJING_TOKEN", "of a person")
    monkeypatch.setenv("KEJING_BUSINESS_TIME_ZONE", "Asia/Tokyo")
    log = tmp_path / "part.log"
    process = await Process.start(Program("part", ["/usr/bin/env"], log))

    async def told() -> bool:
        return "Asia/Tokyo" in log.read_text()

    await eventually(told)
    await process.stop()
    assert "of the provider" not in log.read_text()
    assert "of a person" not in log.read_text()
