"""The embedded stack as a user runs it: up, status, logs, token, down; taken ports; crashes of parts and of all."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from deploy.local import topology
from deploy.local.state import State
from tests.support.stack import KEJING, LocalStack, local_stack

PARTS = {"postgres", "nats", "temporal", "migrations", *(service.name for service in topology.SERVICES)}


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with local_stack() as started:
        started.up()
        yield started


def test_status_names_every_part_with_its_address_and_memory(stack: LocalStack) -> None:
    status = stack.status()
    assert status["ready"]
    parts = {part["name"]: part for part in status["parts"]}
    assert set(parts) == PARTS
    assert list(parts["customers"]["addresses"].values()) == [stack.address("customers")]
    assert all(part["pss"] > 0 for part in parts.values() if part["pid"])
    assert status["pss"] == sum(part["pss"] for part in parts.values()) + status["supervisor_pss"]
    table = stack.kejing("status")
    assert table.returncode == 0
    assert stack.address("tasks") in table.stdout


def test_everything_listens_on_loopback_only(stack: LocalStack) -> None:
    state = State.read(stack.home.state)
    assert state is not None
    for part in state.parts:
        listening = [c.laddr for c in connections(part.pid) if c.status == psutil.CONN_LISTEN]
        assert all(address.ip in ("127.0.0.1", "::1", "::ffff:127.0.0.1") for address in listening), part.name


def connections(pid: int | None) -> list[Any]:
    return psutil.Process(pid).net_connections("tcp") if pid else []


def test_token_is_all_that_token_prints(stack: LocalStack) -> None:
    done = stack.kejing("token", "--as", "admin")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert len(done.stdout.strip().split(".")) == 3


def test_token_for_an_unknown_login_is_refused(stack: LocalStack) -> None:
    done = stack.kejing("token", "--as", "nobody-of-that-name")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "UNAUTHENTICATED" in done.stderr
    assert "SIGN_IN_REFUSED" in done.stderr


def test_logs_prints_the_end_and_names_the_parts(stack: LocalStack) -> None:
    done = stack.kejing("logs", "customers", "-n", "3")
    assert done.returncode == 0
    assert all(json.loads(line)["process"] == "customers" for line in done.stdout.splitlines())
    wrong = stack.kejing("logs", "nonsense")
    assert wrong.returncode == 1
    assert "customers" in wrong.stderr


def test_secrets_are_closed_to_others(stack: LocalStack) -> None:
    assert stack.home.path.stat().st_mode & 0o077 == 0
    for file in [*(stack.home.path / "keys").iterdir(), stack.home.path / "nats" / "nats.conf"]:
        assert file.stat().st_mode & 0o077 == 0, file


def test_a_second_up_on_the_home_says_so(stack: LocalStack) -> None:
    again = stack.kejing("up", "--detach")
    assert again.returncode == 0
    assert "already runs" in again.stdout
    at_the_terminal = stack.kejing("up")
    assert at_the_terminal.returncode == 1
    assert str(stack.home.path) in at_the_terminal.stderr


@pytest.mark.parametrize("part", ["customers", "processes", "nats", "temporal", "postgres"])
def test_a_killed_part_is_started_again(stack: LocalStack, part: str) -> None:
    killed = stack.kill(part)
    stack.wait_restarted(part, killed)
    status = stack.status(wait=60)
    assert status["ready"], status
    assert next(p["restarts"] for p in status["parts"] if p["name"] == part) >= 1


def test_down_and_up_find_the_data_again(stack: LocalStack) -> None:
    before = stack.kejing("token", "--as", "admin")
    stack.down()
    assert stack.kejing("status").returncode == 1
    state = State.read(stack.home.state)
    assert state is not None
    assert {part.state for part in state.parts} <= {"stopped", "done"}
    stack.up()
    again = stack.kejing("token", "--as", "admin")
    assert before.returncode == again.returncode == 0
    assert subject(before.stdout) == subject(again.stdout)


def subject(token: str) -> str:
    import jwt

    claims: dict[str, str] = jwt.decode(token.strip(), options={"verify_signature": False})
    return claims["sub"]


def test_up_after_the_supervisor_was_killed(stack: LocalStack) -> None:
    """Its children end with it, and the next `up` starts anew on the same ports."""
    state = State.read(stack.home.state)
    assert state is not None
    os.kill(state.pid, signal.SIGKILL)
    stack.up()
    now = State.read(stack.home.state)
    assert now is not None
    assert now.pid != state.pid
    assert not {part.pid for part in now.parts if part.pid} & {part.pid for part in state.parts if part.pid}


def test_a_taken_port_is_named() -> None:
    with local_stack() as stack, socket.socket() as taken:
        port = int(stack.address("revenue").rsplit(":", 1)[1])
        taken.bind(("127.0.0.1", port))
        taken.listen()
        done = stack.kejing("up", "--detach", seconds=120)
        assert done.returncode == 1
        assert f"port {port}" in done.stderr
        assert "revenue" in done.stderr
        assert stack.kejing("status").returncode == 1


def test_a_wrong_port_base_is_refused() -> None:
    with local_stack() as stack:
        stack.environment["KEJING_PORT_BASE"] = "many"
        done = stack.kejing("up", "--detach")
        assert done.returncode == 1
        assert "KEJING_PORT_BASE" in done.stderr


def test_interrupt_at_the_terminal_stops_everything() -> None:
    with local_stack() as stack:
        running = subprocess.Popen(
            [str(KEJING), "up"], env=stack.environment, stdout=subprocess.PIPE, stderr=sys.stderr, text=True
        )
        assert running.stdout is not None
        for line in running.stdout:
            if line.startswith("temporal ready"):
                break
        children = psutil.Process(running.pid).children(recursive=True)
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 0
        assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
