"""UpdateCustomer: people change the fields that a customer's source leaves to us."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from kejing.customers.v1 import customers_service_pb2 as pb
from services.customers.api.changes import follow
from services.customers.api.churn import ends_moved
from services.customers.api.happened import happened
from services.customers.domain import fields
from services.customers.domain.attributes import Attribute, field_of, masked
from services.customers.domain.fields import PLAIN, BadValue, Field
from services.customers.storage import attributes, customers, edits, national_ids
from services.customers.storage.imports import one_at_a_time
from services.customers.storage.national_ids import Sealed
from services.customers.storage.timeline import Change, Entry
from services.shared.db import Database, Write
from services.shared.errors import Conflict, FailedPrecondition, InvalidArgument, NotFound, Violation
from services.shared.keyring import Keyring
from services.shared.rpc.caller import caller

FIXED = ("external_id",)
"""What stays as it came, whoever owns the other fields: it is the customer's key."""


class Updates:
    """`keyring`: that of national ids; `zone`: the business time zone."""

    def __init__(self, db: Database, keyring: Keyring, zone: ZoneInfo) -> None:
        self._db = db
        self._keyring = keyring
        self._zone = zone

    async def update(self, request: pb.UpdateCustomerRequest) -> Any:
        """Does what UpdateCustomer's contract says; answers the customer's row (see storage.customers.WHOLE)."""
        customer_id = UUID(request.customer_id)
        async with self._db.write(request) as write:
            if write.first:
                await self._change(write, customer_id, request)
            row = await customers.get(write.connection, caller().scope, customer_id)
        if row is None:
            raise NotFound("customer", request.customer_id)
        return row

    async def _change(self, write: Write, customer_id: UUID, request: pb.UpdateCustomerRequest) -> None:
        await one_at_a_time(write)
        custom = {attribute.key: attribute for attribute in await attributes.definitions(write.connection)}
        _mask_record(write, request, custom)
        row = await edits.lock(write, caller().scope, customer_id)
        if row is None:
            raise NotFound("customer", request.customer_id)
        known = {**fields.CUSTOMER, **{key: field_of(attribute) for key, attribute in custom.items()}}
        _check_names(request.values, known, await edits.ours(write.connection, row.source), row)
        if request.version not in (0, row.version):
            raise Conflict(
                "VERSION_CHANGED", f"the customer has version {row.version}, not {request.version}", version=row.version
            )
        required = {name for name, field in fields.CUSTOMER.items() if field.required or name == "kind"}
        required |= {key for key, attribute in custom.items() if attribute.required}
        values = _read(request.values, known, required)
        secret = {key: value for key, value in values.items() if key in custom and custom[key].encrypted}
        changes = await self._keep_secrets(write, customer_id, row, secret)
        shown = {key: masked(value) if key in secret and value else value for key, value in values.items()}
        changes += [
            Change(name, before, shown[name])
            for name in values
            if name not in secret and (before := edits.text_of(row, name)) != shown[name]
        ]
        if not changes:
            return
        changed = {change.field: shown[change.field] for change in changes}
        await edits.put(write, row, changed, set(custom))
        await happened(write, [Entry(customer_id, "ATTRIBUTES", "changed", changes=changes)])
        if "last_contract_end" in changed:
            await ends_moved(write, [customer_id], self._zone)
        await follow(write, [customer_id])

    async def _keep_secrets(self, write: Write, customer_id: UUID, row: Any, values: Mapping[str, str]) -> list[Change]:
        """Encrypts the national ids among the values that differ from what is known; what changed is masked."""
        if not values:
            return []
        held = await national_ids.tokens(write.connection, caller().scope, customer_id)
        sealed: dict[str, Sealed | None] = {}
        changes = []
        for key, value in values.items():
            known = held[key][1] if key in held else b""
            if known in self._keyring.digests(value.encode()) if value else not known:
                continue
            sealed[key] = national_ids.seal(self._keyring, key, value) if value else None
            changes.append(Change(key, edits.text_of(row, key), masked(value) if value else ""))
        if sealed:
            await national_ids.put(write, customer_id, sealed)
        return changes


def _mask_record(write: Write, request: pb.UpdateCustomerRequest, custom: Mapping[str, Attribute]) -> None:
    """The audit, which more people read than may see national ids, keeps them masked."""
    if write.doing is None:
        return
    said = pb.UpdateCustomerRequest()
    said.CopyFrom(request)
    for key, value in request.values.items():
        if key in custom and custom[key].encrypted:
            said.values[key] = masked(value) if len(value) == 18 else "***"
    write.doing.call = replace(write.doing.call, request=said)


def _check_names(values: Mapping[str, str], known: Mapping[str, Field], ours: set[str], row: Any) -> None:
    """Raises InvalidArgument (VALUE_WRONG) or FailedPrecondition (FIELD_NOT_OURS)."""
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InvalidArgument(
            f"values[{unknown[0]}]", unknown[0], f"the fields are {', '.join(known)}"[:1000], "VALUE_WRONG"
        )
    theirs = []
    for name in sorted(values):
        if name in FIXED:
            theirs.append(Violation(name, "it is the customer's key and never changes"))
        elif name == "last_contract_end" and row.contract_end_version:
            theirs.append(Violation(name, "the customer's orders say it"))
        elif name not in ours:
            theirs.append(Violation(name, f"the source {row.source} owns it"))
    if theirs:
        said = "; ".join(f"{violation.field}: {violation.description}" for violation in theirs)
        raise FailedPrecondition("FIELD_NOT_OURS", said[:1000], violations=theirs, source=row.source)


def _read(values: Mapping[str, str], known: Mapping[str, Field], required: set[str]) -> dict[str, str]:
    """The values as they are kept, "" for none. Raises InvalidArgument (VALUE_WRONG), which quotes none of them."""
    found, wrong = {}, []
    for name in sorted(values):
        value = values[name].strip()
        try:
            if not value and name in required:
                raise BadValue("it must not be empty")
            found[name] = known[name].read(value, PLAIN) if value else ""
        except BadValue as error:
            wrong.append(Violation(f"values[{name}]", str(error)))
    if wrong:
        refusal = InvalidArgument(wrong[0].field, "", wrong[0].description, "VALUE_WRONG")
        refusal.message = "; ".join(f"{violation.field}: {violation.description}" for violation in wrong)[:1000]
        refusal.violations = tuple(wrong)
        raise refusal
    return found
