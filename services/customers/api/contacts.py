"""ContactsService: persons at customers whom we talk to."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from kejing.customers.v1 import contacts_service_pb2 as pb
from kejing.customers.v1 import contacts_service_pb2_grpc
from services.customers.api.happened import happened
from services.customers.api.wire import to_contact
from services.customers.domain.fields import CONTACT, PLAIN, BadValue
from services.customers.storage import contact_merges, contacts, customers, duplicates
from services.customers.storage.imports import one_at_a_time
from services.customers.storage.timeline import Change, Entry
from services.shared.db import Database, Write
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.errors import Conflict, FailedPrecondition, InvalidArgument, NotFound, Violation
from services.shared.rpc.caller import caller
from services.shared.rpc.wire import to_timestamp

EDITABLE = ("name", *contacts.LENT)


class ContactsServicer(contacts_service_pb2_grpc.ContactsServiceServicer):
    def __init__(self, db: Database) -> None:
        self._db = db

    async def ListContacts(self, request: pb.ListContactsRequest, context: Any) -> pb.ListContactsResponse:
        customer_id, after, size = UUID(request.customer_id), page_start(request), page_size(request.page_size)
        async with self._db.read() as read:
            if not await customers.exists(read, caller().scope, customer_id):
                raise NotFound("customer", request.customer_id)
            rows = await contacts.page(read, caller().scope, customer_id, after, size + 1)
        page, more = rows[:size], len(rows) > size
        return pb.ListContactsResponse(
            contacts=map(to_contact, page),
            next_page_token=next_page_token(request, [page[-1].name, page[-1].id]) if more else "",
        )

    async def UpdateContact(self, request: pb.UpdateContactRequest, context: Any) -> pb.UpdateContactResponse:
        contact_id, values = UUID(request.contact_id), _checked(request.values)
        async with self._db.write(request, result_id=contact_id) as write:
            if write.first:
                row = (await _locked(write, [request.contact_id]))[contact_id]
                if request.version and request.version != row.version:
                    raise Conflict("VERSION_CHANGED", f"it has version {row.version} now", version=row.version)
                ours = await contacts.ours(write.connection, row.source)
                if theirs := [name for name in values if name not in ours]:
                    raise FailedPrecondition(
                        "FIELD_NOT_OURS",
                        f"{', '.join(theirs)} of this contact come from {row.source}; change them there",
                        violations=[Violation(f"values[{name}]", f"{row.source} owns it") for name in theirs],
                    )  # fmt: skip
                before = {name: getattr(row, name) or "" for name in values}
                changes = [Change(name, before[name], value) for name, value in values.items() if value != before[name]]
                if changes:
                    await contacts.change(write, contact_id, {change.field: change.after for change in changes})
                    entry = Entry(row.customer_id, "CONTACT", "changed", request.contact_id, changes=changes)
                    await _follow(write, entry)
            shown = await _shown(write, [contact_id])
        return pb.UpdateContactResponse(contact=shown[0])

    async def ListDuplicates(self, request: pb.ListDuplicatesRequest, context: Any) -> pb.ListDuplicatesResponse:
        after, size, scope = page_start(request), page_size(request.page_size), caller().scope
        customer_id = UUID(request.customer_id) if request.customer_id else None
        async with self._db.read() as read:
            found = await duplicates.page(read, scope, customer_id, after, size + 1)
            page, more = found[:size], len(found) > size
            rows = await contacts.get_many(read, scope, [id_ for _, group in page for id_ in group.contact_ids])
        return pb.ListDuplicatesResponse(
            groups=[
                pb.DuplicateGroup(
                    contacts=[to_contact(rows[id_]) for id_ in group.contact_ids if id_ in rows],
                    alike_in=group.alike_in,
                )
                for _, group in page
            ],
            next_page_token=next_page_token(request, [page[-1][0], page[-1][1].contact_ids[0]]) if more else "",
        )

    async def KeepApart(self, request: pb.KeepApartRequest, context: Any) -> pb.KeepApartResponse:
        async with self._db.write(request) as write:
            if write.first:
                customer_id = _one_customer(await _locked(write, request.contact_ids))
                await duplicates.keep_apart(write, customer_id, list(map(UUID, request.contact_ids)))
                await duplicates.refresh(write, [customer_id])
        return pb.KeepApartResponse()

    async def MergeContacts(self, request: pb.MergeContactsRequest, context: Any) -> pb.MergeContactsResponse:
        if request.into_id in request.contact_ids:
            raise InvalidArgument("contact_ids", request.into_id, "the one that stays is not among the others")
        async with self._db.write(request) as write:
            if write.first:
                customer_id = _one_customer(await _locked(write, [request.into_id, *request.contact_ids]))
                await contact_merges.merge(
                    write, customer_id, UUID(request.into_id), list(map(UUID, request.contact_ids))
                )
                await _follow(write, _entry(customer_id, "merged", request.into_id, write.result_id))
            row = await contact_merges.get(write.connection, caller().scope, write.result_id)
            if row is None:
                raise NotFound("merge", write.result_id)
            [merge] = await _merges(write.connection, [row])
        return pb.MergeContactsResponse(merge=merge)

    async def UndoMerge(self, request: pb.UndoMergeRequest, context: Any) -> pb.UndoMergeResponse:
        merge_id = UUID(request.merge_id)
        async with self._db.write(request, result_id=merge_id) as write:
            await one_at_a_time(write)
            row = await contact_merges.get(write.connection, caller().scope, merge_id)
            if row is None:
                raise NotFound("merge", request.merge_id)
            if write.first:
                if row.undone_at:
                    raise FailedPrecondition("MERGE_UNDONE", "it was undone before")
                if not await contacts.lock(write, caller().scope, [row.into_id]):
                    raise FailedPrecondition(
                        "MERGED_AGAIN", f"contact {row.into_id} has since been merged itself; undo that first",
                        contact_id=row.into_id,
                    )  # fmt: skip
                if write.doing:
                    write.doing.customer_id = str(row.customer_id)
                await contact_merges.undo(write, merge_id, row.into_id)
                await _follow(write, _entry(row.customer_id, "parted", str(row.into_id), merge_id))
            back = await _shown(write, row.contact_ids)
        return pb.UndoMergeResponse(contacts=back)

    async def ListMerges(self, request: pb.ListMergesRequest, context: Any) -> pb.ListMergesResponse:
        customer_id, after, size = UUID(request.customer_id), page_start(request), page_size(request.page_size)
        async with self._db.read() as read:
            if not await customers.exists(read, caller().scope, customer_id):
                raise NotFound("customer", request.customer_id)
            rows = await contact_merges.page(read, caller().scope, customer_id, after, size + 1)
            page, more = rows[:size], len(rows) > size
            merges = await _merges(read, page)
        return pb.ListMergesResponse(
            merges=merges, next_page_token=next_page_token(request, [page[-1].id]) if more else ""
        )


def _checked(values: Mapping[str, str]) -> dict[str, str]:
    """The values as they are kept. Raises InvalidArgument: VALUE_WRONG."""
    checked = {}
    for name, value in values.items():
        if name not in EDITABLE:
            raise InvalidArgument(f"values[{name}]", "", f"the fields are {', '.join(EDITABLE)}", "VALUE_WRONG")
        text = value.strip()
        if not text and CONTACT[name].required:
            raise InvalidArgument(f"values[{name}]", "", "it must not be empty", "VALUE_WRONG")
        try:
            checked[name] = CONTACT[name].read(text, PLAIN) if text else ""
        except BadValue as error:  # the value is personal: the refusal doesn't repeat it
            raise InvalidArgument(f"values[{name}]", "", str(error), "VALUE_WRONG") from None
    return checked


async def _locked(write: Write, ids: Sequence[str]) -> dict[UUID, Row[Any]]:
    """Locks contacts that are shown and in scope. Raises NotFound: CONTACT_NOT_FOUND."""
    await one_at_a_time(write)
    rows = await contacts.lock(write, caller().scope, list(map(UUID, ids)))
    if missing := next((id_ for id_ in ids if UUID(id_) not in rows), None):
        raise NotFound("contact", missing)
    if write.doing:  # what is personal in the record is encrypted under the customer's key
        write.doing.customer_id = str(next(iter(rows.values())).customer_id)
    return rows


def _one_customer(rows: Mapping[UUID, Row[Any]]) -> UUID:
    """Raises InvalidArgument: CONTACTS_OF_TWO_CUSTOMERS."""
    [first, *others] = {row.customer_id: row.id for row in rows.values()}.items()
    if others:
        raise InvalidArgument(
            "contact_ids", str(others[0][1]), f"all must be of one customer, as {first[1]} is",
            "CONTACTS_OF_TWO_CUSTOMERS",
        )  # fmt: skip
    customer_id: UUID = first[0]
    return customer_id


def _entry(customer_id: UUID, what: str, into_id: str, merge_id: UUID) -> Entry:
    return Entry(customer_id, "CONTACT", what, into_id, facts={"merge_id": str(merge_id)})


async def _follow(write: Write, entry: Entry) -> None:
    """What a change of a customer's contacts brings with it."""
    await duplicates.refresh(write, [entry.customer_id])
    await happened(write, [entry])


async def _shown(write: Write, ids: Sequence[UUID]) -> list[Any]:
    """The contacts as they are now. Raises NotFound where one is no longer in scope."""
    rows = await contacts.get_many(write.connection, caller().scope, ids)
    if missing := next((id_ for id_ in ids if id_ not in rows), None):
        raise NotFound("contact", missing)
    return [to_contact(rows[id_]) for id_ in ids]


async def _merges(connection: Any, rows: Sequence[Row[Any]]) -> list[pb.Merge]:
    into = await contacts.get_many(connection, caller().scope, [row.into_id for row in rows])
    return [
        pb.Merge(
            id=str(row.id),
            customer_id=str(row.customer_id),
            into=to_contact(into[row.into_id]),
            contact_ids=map(str, row.contact_ids),
            merged_by=row.merged_by,
            merged_at=to_timestamp(row.merged_at),
            undone_at=to_timestamp(row.undone_at),
        )
        for row in rows
    ]
