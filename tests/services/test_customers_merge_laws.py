"""Laws of merged contacts: undoing gives back what was, and whatever order things come in, no contact is lost."""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from kejing.customers.v1 import contacts_service_pb2 as pb
from kejing.customers.v1.contacts_service_pb2_grpc import ContactsServiceStub
from services.customers.storage.tables import contacts
from tests.support.customers import bring, by_external_id, fresh
from tests.support.refusals import reason_of
from tests.support.services import RunningServices

PEOPLE = 5
FIELDS = ("phone", "wechat_id", "post", "email")
FEW = settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
people = st.integers(0, PEOPLE - 1)
known = st.fixed_dictionaries(
    {"phone": st.sampled_from(["", "13800138000"]), "wechat_id": st.sampled_from(["", "a", "b"]),
     "post": st.sampled_from(["", "CEO"]), "email": st.sampled_from(["", "a@b.cn"])}
)  # fmt: skip
merge = st.tuples(st.just("merge"), people, st.lists(people, min_size=1, max_size=3, unique=True))
undo = st.tuples(st.just("undo"), st.integers(0, 10), st.none())
brought = st.tuples(st.just("import"), people, known)


class World:
    """A customer with contacts, and what its source said of each last."""

    def __init__(self, services: RunningServices, stub: Any) -> None:
        self._services = services
        self._stub = stub
        self._key = fresh()
        self.said: dict[int, dict[str, str]] = {}
        self.merges: list[Any] = []

    async def begin(self, said: list[dict[str, str]]) -> None:
        await bring(self._services, "ImportCustomers", [{"external_id": self._key, "name": self._key}])
        self.customer_id = (await by_external_id(self._services, self._key)).id
        await self.come(dict(enumerate(said)))
        self.ids = {place: id_ for id_, (place, *_) in (await self.rows()).items()}

    async def come(self, said: dict[int, dict[str, str]]) -> None:
        self.said |= said
        rows = [{"customer_external_id": self._key, "external_id": str(place), "name": str(place), **each}
                for place, each in said.items()]  # fmt: skip
        await bring(self._services, "ImportContacts", rows)

    def said_of(self, place: int) -> tuple[str, ...]:
        return tuple(self.said[place][name] for name in FIELDS)

    async def merge(self, into: int, others: list[int]) -> None:
        request = pb.MergeContactsRequest(
            request_id=fresh(), into_id=self.ids[into], contact_ids=[self.ids[other] for other in others]
        )
        hidden = {place for place, _, merged_into in (await self.rows()).values() if merged_into}
        wrong = into in others or bool(hidden & {into, *others})
        assert bool(await reason_of(self._stub.MergeContacts(request))) == wrong
        if not wrong:
            self.merges.append((await self._stub.MergeContacts(request)).merge)

    async def undo(self, number: int) -> str:
        """The reason for which it was refused."""
        merge = self.merges[number]
        reason = await reason_of(self._stub.UndoMerge(pb.UndoMergeRequest(request_id=fresh(), merge_id=merge.id)))
        if not reason:
            del self.merges[number]
        return reason

    async def rows(self) -> dict[str, tuple[int, tuple[str, ...], str]]:
        """By contact: its number, its fields as they are stored, and where it was merged into."""
        query = select(contacts).where(contacts.c.customer_id == self.customer_id)
        async with self._services.db("customers").read(unscoped="a test") as read:
            found = (await read.execute(query)).all()
        return {
            str(row.id): (
                int(row.external_id), tuple(getattr(row, name) or "" for name in FIELDS), str(row.merged_into or ""),
            )
            for row in found
        }  # fmt: skip

    async def shown(self) -> dict[str, Any]:
        answer = await self._stub.ListContacts(pb.ListContactsRequest(customer_id=self.customer_id))
        return {contact.id: contact for contact in answer.contacts}


@pytest.fixture
async def stub(services: RunningServices) -> Any:
    return await services.stub(ContactsServiceStub)


@FEW
@given(st.lists(known, min_size=PEOPLE, max_size=PEOPLE), st.lists(st.one_of(merge, merge, undo, brought), max_size=6))
async def test_no_order_of_merges_undoings_and_imports_loses_a_contact(
    services: RunningServices, stub: Any, said: list[dict[str, str]], doings: list[Any]
) -> None:
    world = World(services, stub)
    await world.begin(said)
    for doing, what, more in doings:
        match doing:
            case "merge":
                await world.merge(what, more)
            case "undo" if world.merges:
                await world.undo(what % len(world.merges))
            case "import":
                await world.come({what: more})
        rows, shown = await world.rows(), await world.shown()
        # Each is shown, or hidden behind one that is; and its row says what its source said last.
        assert {place for place, *_ in rows.values()} == set(range(PEOPLE))
        assert shown.keys() == {id_ for id_, (*_, merged_into) in rows.items() if not merged_into}
        assert {merged_into for *_, merged_into in rows.values() if merged_into} <= shown.keys()
        for id_, contact in shown.items():
            lenders = [id_, *sorted(other for other, (*_, into) in rows.items() if into == id_)]
            for place, name in enumerate(FIELDS):
                held = [rows[lender][1][place] for lender in lenders]
                assert getattr(contact, name) == next(filter(None, held), "")
        for place, fields, _ in rows.values():
            assert fields == world.said_of(place)

    while world.merges:  # the newest can always be undone
        assert await world.undo(len(world.merges) - 1) == ""
    assert all(not merged_into for *_, merged_into in (await world.rows()).values())
    assert {contact.external_id: tuple(getattr(contact, name) for name in FIELDS)
            for contact in (await world.shown()).values()} == {
        str(place): world.said_of(place) for place in range(PEOPLE)
    }  # fmt: skip
