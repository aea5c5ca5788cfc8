"""The contracts: everything declared, everything explained, nothing that others rely on broken."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

from kejing.common.v1 import options_pb2
from services.shared.rpc.interceptor import Rule
from services.shared.rpc.server import declared_rules

ROOT = Path(__file__).parents[2]
PROTOS = ROOT / "protos"
RELEASED = Path(__file__).parent / "released.binpb"
PUBLIC = {
    f"/kejing.identity.v1.SessionsService/{method}"
    for method in ("SignIn", "ChangePassword", "StartOidcSignIn", "RefreshToken", "GetPublicKeys")
}
WITHOUT_REQUEST_ID = {
    "SessionsService.SignOut",  # ended twice is ended
    "SessionsService.SignOutEverywhere",
    "SessionsService.RevokeSessions",
    "SessionsService.RotateSigningKey",  # what a lost answer would have said, GetPublicKeys says
    "EmployeesService.ResetPassword",  # a password is answered once; whoever lost the answer resets again
}


def modules() -> Iterator[object]:
    for path in sorted(PROTOS.glob("kejing/**/*.proto")):
        yield importlib.import_module(path.relative_to(PROTOS).with_suffix("").as_posix().replace("/", ".") + "_pb2")


def test_every_rpc_declares_who_may_call_it_and_only_signing_in_is_public() -> None:
    rules: dict[str, Rule] = {}
    for module in modules():
        rules |= declared_rules(list(module.DESCRIPTOR.services_by_name.values()))  # type: ignore[attr-defined]
    assert {method for method, rule in rules.items() if rule.public} == PUBLIC


def test_every_write_of_an_employee_carries_a_request_id() -> None:
    reads = ("Get", "List", "BatchGet", "Count", "Explain", "Watch", "Check", "Verify", "Compare", "Search",
             "Preview", "Download")  # fmt: skip
    without = set()
    for module in modules():
        for service in module.DESCRIPTOR.services_by_name.values():  # type: ignore[attr-defined]
            for method in service.methods:
                employees = method.GetOptions().Extensions[options_pb2.access].permission
                write = employees and not method.name.startswith(reads) and not method.client_streaming
                if write and "request_id" not in method.input_type.fields_by_name:
                    without.add(f"{service.name}.{method.name}")
    assert without == WITHOUT_REQUEST_ID


def test_every_event_has_a_name_of_its_own_that_begins_with_its_area() -> None:
    names: dict[str, str] = {}
    for module in modules():
        for message in module.DESCRIPTOR.message_types_by_name.values():  # type: ignore[attr-defined]
            name = message.GetOptions().Extensions[options_pb2.event_type]
            if name:
                assert name not in names, f"{name} is both {names[name]} and {message.full_name}"
                assert name.startswith(message.full_name.split(".")[1] + ".")
                names[name] = message.full_name
    assert "tasks.task.changed" in names


def test_everything_in_the_contracts_is_commented_and_named_by_the_rules() -> None:
    done = buf("lint", PROTOS / "gen" / "kejing.binpb")
    assert done.returncode == 0, done.stdout


def test_nothing_that_the_last_release_offered_is_broken() -> None:
    done = buf("breaking", PROTOS / "gen" / "kejing.binpb", "--against", RELEASED)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_removed_field_would_be_noticed(tmp_path: Path) -> None:
    files = descriptor_pb2.FileDescriptorSet.FromString(RELEASED.read_bytes())
    task = next(m for f in files.file if f.package == "kejing.tasks.v1" for m in f.message_type if m.name == "Task")
    del task.field[3]
    broken = tmp_path / "broken.binpb"
    broken.write_bytes(files.SerializeToString())
    done = buf("breaking", broken, "--against", RELEASED)
    assert done.returncode != 0
    assert "theme_key" in done.stdout


def test_generating_again_changes_nothing() -> None:
    stamp = (PROTOS / "gen" / ".stamp").stat().st_mtime_ns
    subprocess.run([sys.executable, PROTOS / "generate.py"], check=True)
    assert (PROTOS / "gen" / ".stamp").stat().st_mtime_ns == stamp


@pytest.mark.parametrize("folder", ["services", "workflows", "deploy", "protos/kejing", "docs"])
def test_the_project_names_no_machine_and_no_package_registry(folder: str) -> None:
    forbidden = ("pypi" + ".org", "pythonhosted" + ".org", "/" + "root/", "/" + "work/")
    for path in (ROOT / folder).rglob("*"):
        if path.suffix in {".py", ".proto", ".md", ".yaml", ".toml"} and "gen" not in path.parts:
            text = path.read_text()
            assert not [word for word in forbidden if word in text], path


def buf(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).parent / "buf", *arguments, "--config", PROTOS / "buf.yaml"]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
