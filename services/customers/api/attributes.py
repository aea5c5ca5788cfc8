"""AttributesService: what is kept of a customer, and what for."""

from typing import Any
from uuid import UUID

from kejing.customers.v1 import attributes_service_pb2 as pb
from kejing.customers.v1 import attributes_service_pb2_grpc
from services.customers.domain.attributes import MOST, Attribute, checked
from services.customers.domain.collection import STANDARD, Collected
from services.customers.storage import attributes, customers, encryption, national_ids
from services.customers.storage.imports import one_at_a_time
from services.shared.db import Database, Write
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.errors import AlreadyExists, Conflict, FailedPrecondition, NotFound, Refusal
from services.shared.keyring import Keyring
from services.shared.rpc.caller import caller


class TooMany(Refusal):
    code = "RESOURCE_EXHAUSTED"


class AttributesServicer(attributes_service_pb2_grpc.AttributesServiceServicer):
    """`keyring`: that of national ids and files."""

    def __init__(self, db: Database, keyring: Keyring) -> None:
        self._db = db
        self._keyring = keyring

    async def ListCollectedFields(
        self, request: pb.ListCollectedFieldsRequest, context: Any
    ) -> pb.ListCollectedFieldsResponse:
        async with self._db.read() as read:
            custom = await attributes.definitions(read)
        fields = [_standard(of, key, field) for of, standard in STANDARD.items() for key, field in standard.items()]
        return pb.ListCollectedFieldsResponse(fields=[*fields, *map(_custom, custom)])

    async def CreateAttribute(self, request: pb.CreateAttributeRequest, context: Any) -> pb.CreateAttributeResponse:
        wanted = _checked(request.attribute)
        async with self._db.write(request) as write:
            if write.first:
                _about(write, wanted.key)
                await one_at_a_time(write)  # so that two don't become one too many
                known = await attributes.lock(write, wanted.key)
                if known is not None and known.retired_at is None:
                    raise AlreadyExists("ATTRIBUTE_EXISTS", f"there is an attribute {wanted.key}", key=wanted.key)
                if known is not None and await attributes.in_use(write.connection, wanted.key):
                    raise AlreadyExists(
                        "ATTRIBUTE_EXISTS", f"values of the retired attribute {wanted.key} are left; retire it again",
                        key=wanted.key,
                    )  # fmt: skip
                if await attributes.full(write):
                    raise TooMany("TOO_MANY_ATTRIBUTES", f"there are {MOST} attributes, which is the most")
                await attributes.put(write, wanted, version=1)
            stored = await attributes.lock(write, wanted.key)
        return pb.CreateAttributeResponse(attribute=_to_attribute(stored))

    async def UpdateAttribute(self, request: pb.UpdateAttributeRequest, context: Any) -> pb.UpdateAttributeResponse:
        wanted = _checked(request.attribute)
        async with self._db.write(request) as write:
            if write.first:
                _about(write, wanted.key)
                known = await _existing(write, wanted.key)
                if known.version != request.attribute.version:
                    asked = request.attribute.version
                    raise Conflict(
                        "VERSION_CHANGED",
                        f"the attribute has version {known.version}, not {asked}",
                        version=known.version,
                    )
                if known.type != wanted.type and await attributes.in_use(write.connection, wanted.key):
                    raise FailedPrecondition(
                        "ATTRIBUTE_IN_USE", f"customers hold values of {wanted.key} as {known.type}", key=wanted.key
                    )
                await attributes.put(write, wanted, version=known.version + 1)
            stored = await attributes.lock(write, wanted.key)
        async with self._db.read() as read:
            misfits = await attributes.count_misfits(read, wanted)
        return pb.UpdateAttributeResponse(attribute=_to_attribute(stored), misfits=misfits)

    async def RetireAttribute(self, request: pb.RetireAttributeRequest, context: Any) -> pb.RetireAttributeResponse:
        async with self._db.write(request) as write:
            if write.first:
                _about(write, request.key)
                known = await attributes.lock(write, request.key)
                if known is None:
                    raise NotFound("attribute", request.key)
                if asking := await attributes.segment_that_asks(write.connection, request.key):
                    raise FailedPrecondition(
                        "ATTRIBUTE_IN_USE", f"the segment {asking} asks for {request.key}", key=request.key
                    )
                held = await attributes.held(write.connection, request.key)
                await attributes.retire(write, request.key, write.now, held)
        while True:  # in many transactions: one over a million customers would hold up everything else
            async with self._db.transaction(actor=caller().actor) as write:
                await one_at_a_time(write)
                if not await attributes.remove_values(write, request.key):
                    ended = await attributes.lock(write, request.key)
                    break
        return pb.RetireAttributeResponse(values=(ended and ended.values_at_end) or 0)

    async def ListAttributes(self, request: pb.ListAttributesRequest, context: Any) -> pb.ListAttributesResponse:
        async with self._db.read() as read:
            rows = await attributes.rows(read)
        return pb.ListAttributesResponse(attributes=map(_to_attribute, rows))

    async def ListMisfits(self, request: pb.ListMisfitsRequest, context: Any) -> pb.ListMisfitsResponse:
        after, size = page_start(request), page_size(request.page_size)
        async with self._db.read() as read:
            known = {row.key: row for row in await attributes.rows(read)}
            if request.key not in known:
                raise NotFound("attribute", request.key)
            definition = attributes.definition(known[request.key])
            start = after[0] if after else None
            found, last = await attributes.misfits(read, caller().scope, definition, start, size)
        return pb.ListMisfitsResponse(
            misfits=[pb.Misfit(customer_id=str(id_), reason=reason) for id_, reason in found],
            next_page_token=next_page_token(request, [last]) if last else "",
        )

    async def RevealAttribute(self, request: pb.RevealAttributeRequest, context: Any) -> pb.RevealAttributeResponse:
        customer_id = UUID(request.customer_id)
        # Not remembered: each look is recorded, a repeated one too.
        async with self._db.transaction(request_id=request.request_id) as write:
            if not await customers.exists(write.connection, caller().scope, customer_id):
                raise NotFound("customer", request.customer_id)
            known = {definition.key: definition for definition in await attributes.definitions(write.connection)}
            if request.key not in known or not known[request.key].encrypted:
                raise NotFound("attribute", request.key)
            held = await national_ids.tokens(write.connection, caller().scope, customer_id)
            if request.key not in held:
                raise NotFound("value", request.key)
            value = national_ids.opened(self._keyring, request.key, held[request.key][0])
        return pb.RevealAttributeResponse(value=value)

    async def RotateEncryption(self, request: pb.RotateEncryptionRequest, context: Any) -> pb.RotateEncryptionResponse:
        async with self._db.transaction(request_id=request.request_id) as write:
            rotated = await encryption.rotate(write, self._keyring)
            left = await encryption.left(write.connection, self._keyring)
        return pb.RotateEncryptionResponse(rotated=rotated, left=left)


def _about(write: Write, key: str) -> None:
    if write.doing:
        write.doing.object_id = key


async def _existing(write: Write, key: str) -> Any:
    known = await attributes.lock(write, key)
    if known is None or known.retired_at is not None:
        raise NotFound("attribute", key)
    return known


def _checked(asked: pb.Attribute) -> Attribute:
    wanted = Attribute(
        key=asked.key,
        label=asked.label,
        purpose=asked.purpose,
        type=pb.AttributeType.Name(asked.type).removeprefix("ATTRIBUTE_TYPE_"),
        required=asked.required,
        personal=asked.personal,
        options=list(asked.options),
        minimum=asked.minimum,
        maximum=asked.maximum,
        pattern=asked.pattern,
    )
    return checked(wanted)


def _to_attribute(row: Any) -> pb.Attribute:
    attribute = pb.Attribute(
        key=row.key,
        label=row.label,
        purpose=row.purpose,
        type=pb.AttributeType.Value(f"ATTRIBUTE_TYPE_{row.type}"),
        required=row.required,
        personal=row.personal,
        options=row.options,
        minimum=row.minimum,
        maximum=row.maximum,
        pattern=row.pattern,
        version=row.version,
    )
    attribute.created_at.FromDatetime(row.created_at)
    return attribute


def _standard(of: str, key: str, field: Collected) -> pb.CollectedField:
    languages = ("zh-CN", "en")
    return pb.CollectedField(
        of=of,
        key=key,
        label=dict(zip(languages, field.label, strict=True)),
        purpose=dict(zip(languages, field.purpose, strict=True)),
        personal=field.personal,
    )


def _custom(attribute: Attribute) -> pb.CollectedField:
    return pb.CollectedField(
        of="customer",
        key=attribute.key,
        label={"": attribute.label},
        purpose={"": attribute.purpose},
        personal=attribute.personal,
        custom=True,
    )
