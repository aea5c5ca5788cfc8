"""What the audit keeps of a request."""

import os
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from kejing.common.v1 import options_pb2
from kejing.customers.v1 import imports_service_pb2, tags_service_pb2
from kejing.identity.v1 import roles_service_pb2, sessions_service_pb2
from kejing.operations.v1 import dead_letters_service_pb2
from kejing.tasks.v1 import follow_ups_service_pb2
from services.shared.audit.record import LONGEST_LIST, decrypted, encrypted, mentioned, split

KEY, RECORD = os.urandom(32), os.urandom(16)


def test_nothing_is_kept_of_no_request() -> None:
    assert split(None) == ({}, {})


def test_the_request_id_has_a_place_of_its_own() -> None:
    assert split(dead_letters_service_pb2.ReplayDeadLetterRequest(request_id="r", consumer="c")) == (
        {"consumer": "c"},
        {},
    )


def test_what_is_personal_is_apart_from_the_rest() -> None:
    request = follow_ups_service_pb2.CreateFollowUpRequest(customer_id="c", content="he is ill")
    assert split(request) == ({"customer_id": "c"}, {"content": "he is ill"})


def test_secrets_are_in_neither() -> None:
    request = sessions_service_pb2.SignInRequest(
        password=sessions_service_pb2.Password(login="ann", password="hunter2")
    )
    clear, personal = split(request)
    assert clear == {"password": {}}
    assert personal == {"password": {"login": "ann"}}


def test_the_contents_of_files_are_not_kept() -> None:
    assert split(imports_service_pb2.UploadFileRequest(data=b"id,name\n")) == ({}, {})


def test_messages_and_maps_inside_are_kept_field_by_field() -> None:
    mapping = imports_service_pb2.Mapping(columns={"name": imports_service_pb2.ColumnMapping(column="company")})
    start = imports_service_pb2.ImportStart(request_id="r", source="crm", mapping=mapping)
    clear, _ = split(imports_service_pb2.UploadFileRequest(start=start))
    assert clear == {"start": {"source": "crm", "mapping": {"columns": {"name": {"column": "company"}}}}}


def test_words_stand_for_the_values_of_enums_and_numbers_for_those_that_are_unknown() -> None:
    permissions: Any = [1, 9999]
    clear, _ = split(roles_service_pb2.CreateRoleRequest(permissions=permissions))
    assert clear == {"permissions": ["PERMISSION_SIGNED_IN", 9999]}


def test_of_a_long_list_the_first_items_and_their_number_are_kept() -> None:
    clear, _ = split(tags_service_pb2.TagCustomersRequest(customer_ids=map(str, range(600))))
    assert clear["customer_ids"] == {"first": [str(number) for number in range(LONGEST_LIST)], "count": 600}


def every_request() -> list[type[Message]]:
    """The requests of all rpcs of all contracts that are loaded by now."""
    files = dict.fromkeys(map(Default().FindFileContainingSymbol, SERVICES))
    return [GetMessageClass(method.input_type)
            for file in files for service in file.services_by_name.values() for method in service.methods]  # fmt: skip


SERVICES = (
    "kejing.identity.v1.SessionsService",
    "kejing.identity.v1.RolesService",
    "kejing.customers.v1.CustomersService",
    "kejing.tasks.v1.FollowUpsService",
)


@pytest.mark.parametrize("request_class", every_request(), ids=lambda each: each.DESCRIPTOR.name)
def test_whatever_the_request_no_secret_is_kept_and_nothing_personal_in_clear(request_class: type[Message]) -> None:
    request = request_class()
    filled(request)
    clear, personal = split(request)
    assert "SECRET" not in f"{clear} {personal}"
    assert "PERSONAL" not in str(clear)
    assert "PLAIN" not in str(personal)


def filled(message: Message, said: str = "PLAIN", depth: int = 0) -> None:
    """Puts into every text what its field is marked as."""
    for field in message.DESCRIPTOR.fields:
        marked = {0: said, 1: "PERSONAL", 2: "SECRET"}[field.GetOptions().Extensions[options_pb2.sensitivity]]
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        if field.message_type is not None and not is_map and depth < 3:
            target: Any = getattr(message, field.name)
            part = target.add() if field.is_repeated else target
            if not field.is_repeated:
                part.SetInParent()
            if field.message_type.full_name.startswith("kejing."):
                filled(part, marked, depth + 1)
        elif field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES) and field.name != "request_id":
            value: Any = marked if field.type == FieldDescriptor.TYPE_STRING else marked.encode()
            if field.is_repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)


def test_what_is_encrypted_opens_with_its_key_and_its_record_only() -> None:
    sealed = encrypted({"content": "he is ill"}, KEY, RECORD)
    assert b"ill" not in sealed
    assert decrypted(sealed, KEY, RECORD) == {"content": "he is ill"}
    assert decrypted(sealed, os.urandom(32), RECORD) is None
    assert decrypted(sealed, KEY, os.urandom(16)) is None
    assert decrypted(sealed[:-1] + bytes([sealed[-1] ^ 1]), KEY, RECORD) is None


def test_the_same_value_is_never_encrypted_to_the_same() -> None:
    assert encrypted({"a": 1}, KEY, RECORD) != encrypted({"a": 1}, KEY, RECORD)


def test_the_first_field_that_is_filled_is_mentioned() -> None:
    request = dead_letters_service_pb2.ReplayDeadLetterRequest(event_id="e")
    assert mentioned(request, ["nothing", "consumer", "event_id"]) == "e"
    assert mentioned(request, ["consumer"]) == ""
    assert mentioned(None, ["event_id"]) == ""
