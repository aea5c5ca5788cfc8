"""Imports on the wire: their mapping as it is checked, and how they stand."""

from collections.abc import Sequence
from typing import Any

from kejing.customers.v1 import events_pb2
from kejing.customers.v1 import imports_service_pb2 as pb
from services.customers.domain import fields
from services.customers.domain.attributes import Attribute, field_of
from services.customers.domain.fields import ISO_DATE, Field, Writing
from services.customers.domain.mapping import Column, FieldMapping, wrong
from services.shared.db import Write
from services.shared.rpc.wire import put_timestamp

KEYS = {
    kind: [field.name for field in known.values() if field.key]
    for kind, known in (("CUSTOMERS", fields.CUSTOMER), ("CONTACTS", fields.CONTACT), ("OWNERS", fields.OWNER))
}
"""By kind of import: what identifies a row."""


def kind_of(kind: pb.ImportKind.ValueType) -> str:
    return pb.ImportKind.Name(kind).removeprefix("IMPORT_KIND_")


def to_mapping(kind: str, mapping: pb.Mapping, custom: Sequence[Attribute]) -> FieldMapping:
    """`custom`: the attributes in use. Raises InvalidArgument (MAPPING_WRONG) where it can't be right."""
    if mapping.link_by and kind != "CUSTOMERS":
        raise wrong("start.mapping.link_by", mapping.link_by, "only customers are linked")
    if mapping.ours and kind == "OWNERS":
        raise wrong("start.mapping.ours", mapping.ours[0], "what a file says of owners, it says always")
    columns = {
        name: Column(
            column.column,
            Writing((column.format or ISO_DATE, *column.other_formats), column.thousands, column.decimal or "."),
            dict(column.values),
            column.default,
            column.prefix,
        )
        for name, column in mapping.columns.items()
    }
    return FieldMapping(
        _fields(kind, mapping.link_by, custom), columns, dict(mapping.constants), list(mapping.ignore),
        list(mapping.ours), mapping.link_by,
    )  # fmt: skip


def _fields(kind: str, link_by: str, custom: Sequence[Attribute]) -> dict[str, Field]:
    if kind != "CUSTOMERS":
        return dict(fields.CONTACT if kind == "CONTACTS" else fields.OWNER)
    found = {**fields.CUSTOMER, **{attribute.key: field_of(attribute) for attribute in custom}}
    return {**found, "number": fields.NUMBER} if link_by == "number" else found


def to_import(row: Any) -> pb.Import:
    answer = pb.Import(
        id=str(row.id),
        kind=pb.ImportKind.Value(f"IMPORT_KIND_{row.kind}"),
        source=row.source,
        file_name=row.file_name,
        bytes=row.bytes,
        state=pb.ImportState.Value(f"IMPORT_STATE_{row.state}"),
        bytes_read=row.bytes_read,
        rows_read=row.rows_read,
        created=row.created,
        updated=row.updated,
        unchanged=row.unchanged,
        superseded=row.superseded,
        rejected=row.rejected,
        failure=row.failure,
        created_by=row.created_by,
        worked_seconds=row.worked_seconds,
    )
    put_timestamp(answer.created_at, row.created_at)
    put_timestamp(answer.updated_at, row.updated_at)
    if row.ended_at:
        put_timestamp(answer.ended_at, row.ended_at)
    return answer


def to_rejected(row: Any) -> pb.RejectedRow:
    return pb.RejectedRow(
        line=row.line, column=row.column, value=row.value, reason=row.reason, superseded=row.superseded
    )


def tell(write: Write, row: Any) -> None:
    """Says that the import's state changed."""
    write.emit(events_pb2.ImportChanged(import_id=str(row.id), running=row.state == "RUNNING", version=row.version))
