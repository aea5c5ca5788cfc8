"""What the audit keeps of a call: the request, field by field; secrets never, what is personal apart from the rest."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from kejing.common.v1 import options_pb2

LONGEST_LIST = 500
"""Of longer lists the audit keeps so many items and the length."""
NONCE_BYTES = 12


def split(request: Message | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `request` says: (in clear, personal), each by field name. Fields marked as secrets are in neither."""
    return ({}, {}) if request is None else (_said(request, personal=False), _said(request, personal=True))


def _said(message: Message, *, personal: bool, inside: bool = False) -> dict[str, Any]:
    """The fields of `message` that are personal, or those that aren't. `inside` a personal one all of them are."""
    said: dict[str, Any] = {}
    for field, value in message.ListFields():
        sensitivity, kind, is_ours = _facts(field)
        if sensitivity == options_pb2.SENSITIVITY_SECRET or field.name == "request_id":
            continue
        is_personal = inside or sensitivity == options_pb2.SENSITIVITY_PERSONAL
        if is_ours:
            shown = _each(field, value, partial(_said, personal=personal, inside=is_personal))
            if is_personal == personal or _any(shown):
                said[field.name] = shown
        elif is_personal == personal:
            said[field.name] = _each(field, value, partial(_single, kind))
    return said


@cache
def _facts(field: FieldDescriptor) -> tuple[int, FieldDescriptor, bool]:
    """Its sensitivity; the field itself, or that of the values of a map; whether these are messages of ours."""
    entry = field.message_type
    kind = entry.fields_by_name["value"] if entry is not None and entry.GetOptions().map_entry else field
    is_ours = kind.message_type is not None and kind.message_type.full_name.startswith("kejing.")
    return field.GetOptions().Extensions[options_pb2.sensitivity], kind, is_ours


def _each(field: FieldDescriptor, value: Any, show: Callable[[Any], Any]) -> Any:
    """The value, item by item where it has many; of long lists the first items and how many there are."""
    if not field.is_repeated:
        return show(value)
    if isinstance(value, Mapping):
        shown: Any = {str(key): show(value[key]) for key in list(value)[:LONGEST_LIST]}
    else:
        shown = [show(item) for item in value[:LONGEST_LIST]]
    return shown if len(value) <= LONGEST_LIST else {"first": shown, "count": len(value)}


def _any(shown: Any) -> bool:
    """Whether anything is said, in whatever depth."""
    match shown:
        case {"first": first, "count": int()}:
            return _any(first)
        case dict():
            return any(map(_any, shown.values()))
        case list():
            return any(map(_any, shown))
    return True


def _single(field: FieldDescriptor, value: Any) -> Any:
    if isinstance(value, Message):
        return MessageToDict(value, preserving_proto_field_name=True)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else value
    return value.hex() if isinstance(value, bytes) else value


def encrypted(personal: dict[str, Any], key: bytes, record_id: bytes) -> bytes:
    """`personal` under the person's key (32 bytes), bound to the record. Answers nonce and ciphertext."""
    nonce = os.urandom(NONCE_BYTES)
    clear = json.dumps(personal, ensure_ascii=False, separators=(",", ":"), default=str).encode()
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, clear, record_id)


def decrypted(sealed: bytes, key: bytes, record_id: bytes) -> dict[str, Any] | None:
    """What `encrypted` was given; None where the key or the record is another one."""
    try:
        clear = ChaCha20Poly1305(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], record_id)
    except InvalidTag:
        return None
    found: dict[str, Any] = json.loads(clear)
    return found


def mentioned(request: Message | None, names: Iterable[str]) -> str:
    """The first of the named text fields that the request has and fills; "" where there is none."""
    for name in names:
        if request is not None and name in request.DESCRIPTOR.fields_by_name and (value := getattr(request, name, "")):
            return str(value)
    return ""
