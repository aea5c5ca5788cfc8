"""docs/security.md says what the code does: its tables are those of roles and contracts, and its tests exist."""

import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

import pytest
from buf.validate import validate_pb2
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor

from kejing.common.v1 import options_pb2, permission_pb2
from services.identity.api.first_start import CATALOGUE
from services.identity.domain.roles import ADMINISTRATOR, READY_MADE

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text("utf-8")
CHECKED_BY_THEIR_SERVICE = ("OrderRow.", "Mapping.", "ColumnsEntry.", "ConstantsEntry.", "ValuesEntry.")
"""A row of a file is reported, not refused with all others; a message holds 4 MB at most."""
MACHINES = [name.removeprefix("MACHINE_").lower() for name, number in options_pb2.Machine.items() if number]


def rpcs() -> Iterator[MethodDescriptor]:
    for path in sorted((ROOT / "protos").glob("kejing/**/*_service.proto")):
        name = path.relative_to(ROOT / "protos").with_suffix("").as_posix().replace("/", ".")
        for service in import_module(f"{name}_pb2").DESCRIPTOR.services_by_name.values():
            yield from service.methods


def access(rpc: MethodDescriptor) -> options_pb2.Access:
    declared: options_pb2.Access = rpc.GetOptions().Extensions[options_pb2.access]
    return declared


def name_of(permission: int) -> str:
    return permission_pb2.Permission.Name(permission).removeprefix("PERMISSION_").lower().replace("_", "-")  # type: ignore[arg-type]


def listed(found: Iterable[MethodDescriptor]) -> str:
    """ "TasksService: GetTask, ListTasks; ThemesService: …" """
    services: dict[str, list[str]] = {}
    for rpc in found:
        services.setdefault(rpc.containing_service.name, []).append(rpc.name)
    return "; ".join(f"{service}: {', '.join(names)}" for service, names in services.items()) or "—"


def table(*rows: Iterable[str]) -> str:
    head, *rest = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, f"|{'---|' * (head.count(' | ') + 1)}", *rest])


def roles() -> str:
    """Permission × ready-made role, with what a permission opens."""
    granted = {ADMINISTRATOR: ("ALL", set(CATALOGUE))}
    for role in READY_MADE:
        numbers = {permission_pb2.Permission.Value(f"PERMISSION_{name}") for name in role.permissions}
        granted[role.key] = (role.scope, numbers)
    opens = {number: listed(rpc for rpc in rpcs() if access(rpc).permission == number) for number in CATALOGUE}
    return table(
        ["", *granted, "opens"],
        ["**scope**", *(f"**{scope}**" for scope, _ in granted.values()), ""],
        *(
            [name_of(number), *("✓" if number in numbers else "" for _, numbers in granted.values()), opens[number]]
            for number in CATALOGUE
        ),
    )


def machines() -> str:
    every = listed(rpc for rpc in rpcs() if access(rpc).any_machine)
    rows = []
    for machine in MACHINES:
        number = options_pb2.Machine.Value(f"MACHINE_{machine.upper()}")
        rows.append([machine, listed(rpc for rpc in rpcs() if number in access(rpc).machines)])
    return table(["machine", "may call"], ["any of them", every], *rows)


def everybody() -> str:
    public = listed(rpc for rpc in rpcs() if access(rpc).public)
    signed_in = listed(rpc for rpc in rpcs() if access(rpc).permission == permission_pb2.PERMISSION_SIGNED_IN)
    whole = listed(rpc for rpc in rpcs() if access(rpc).whole)
    return table(
        ["who", "may call"], ["anybody, without a token", public], ["every employee", signed_in],
        ["only with scope ALL, beside the permission", whole],
    )  # fmt: skip


@pytest.mark.parametrize("wanted", [roles, machines, everybody])
def test_the_tables_are_those_of_roles_and_contracts(wanted) -> None:  # type: ignore[no-untyped-def]
    assert wanted() in TEXT, f"docs/security.md must hold this table:\n\n{wanted()}"


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXT)
    assert len(named) > 20
    missing = []
    for file, function in named:
        content = (ROOT / file).read_text("utf-8") if (ROOT / file).exists() else ""
        if not re.search(rf"^(async )?def {function or 'test_'}", content, re.MULTILINE):
            missing.append(f"{file}::{function}")
    assert missing == []


def test_each_of_owasps_ten_threats_is_answered_with_a_test() -> None:
    for number in range(1, 11):
        [row] = re.findall(rf"^\| API{number}:2023 .*$", TEXT, re.MULTILINE)
        assert "`tests/" in row


def requests() -> Iterator[tuple[str, FieldDescriptor]]:
    """Every field that a person's call can hold, with the message that it is in."""
    seen = set()
    waiting = [rpc.input_type for rpc in rpcs() if access(rpc).public or access(rpc).permission]
    while waiting:
        message = waiting.pop()
        if message.full_name in seen or not message.full_name.startswith("kejing."):
            continue
        seen.add(message.full_name)
        for field in message.fields:
            yield f"{message.name}.{field.name}", field
            if field.message_type is not None:
                waiting.append(field.message_type)


def test_every_text_and_list_that_a_call_can_hold_has_a_limit() -> None:
    endless = []
    for name, field in requests():
        rules = field.GetOptions().Extensions[validate_pb2.field]
        if field.is_repeated:
            is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
            limited = rules.map.HasField("max_pairs") if is_map else rules.repeated.HasField("max_items")
        elif field.type == FieldDescriptor.TYPE_STRING:
            text = rules.string
            chosen = text.WhichOneof("well_known") == "uuid" or text.pattern or getattr(text, "in")
            limited = text.HasField("max_len") or bool(chosen)
        elif field.type == FieldDescriptor.TYPE_BYTES:
            limited = rules.bytes.HasField("max_len")
        else:
            limited = field.name != "page_size" or rules.int32.lte <= 500
        if not limited and not name.startswith(CHECKED_BY_THEIR_SERVICE):
            endless.append(name)
    assert endless == []


def test_no_rpc_takes_an_address_to_fetch() -> None:
    addresses = [
        name for name, _ in requests() if re.search(r"(^|_|\.)(ur[il]|address|host|endpoint|webhook)(_|$)", name)
    ]
    assert addresses == ["StartOidcSignInRequest.redirect_uri"]
