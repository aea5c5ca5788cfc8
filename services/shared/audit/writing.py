"""The audit's record of a write, in the write's own transaction: one more statement, run by psycopg itself.

Through SQLAlchemy it would cost three times as much (see services.shared.db.hot).
"""

import json
import os
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from psycopg import AsyncConnection as Driver
from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncConnection

from services.shared.audit.record import encrypted, mentioned, split
from services.shared.audit.tables import person_keys
from services.shared.ids import new_id
from services.shared.rpc.caller import Call, Caller

if TYPE_CHECKING:
    from services.shared.db.write import Write

KEY_BYTES = 32
REMEMBERED = 10_000

# Nothing is written where the key that encrypted it isn't, or is no longer, the person's.
_RECORD = b"""
    insert into kit.audit (id, occurred_at, actor, acting_for, means, peer, method, object_id, customer_id, change,
        person, personal, request_id)
    select %(id)s, %(occurred_at)s, %(actor)s, %(acting_for)s, %(means)s, %(peer)s, %(method)s, %(object_id)s,
        %(customer_id)s, %(change)s::jsonb, %(person)s, %(personal)s::bytea, %(request_id)s
    where %(person)s = '' or exists (select from kit.person_keys where person = %(person)s and key = %(key)s::bytea)
"""
_KEY = b"""
    with fresh as (
        insert into kit.person_keys (person, key) values (%(person)s, %(key)s) on conflict do nothing returning key
    )
    select key from fresh union all select key from kit.person_keys where person = %(person)s
"""


@dataclass
class Doing:
    """A write that will be recorded. A servicer may say better than the request what it is about.

    `customer_id`, `object_id`, `person` (whose key encrypts what is personal), `actor` and `means` (by what he acts)
    are texts; "" where unknown. `change` is added to what the request says; it holds nothing personal. `keys`: those of
    persons that are known here. `record_id`: the id that the record will have.
    """

    call: Call
    caller: Caller
    actor: str
    object_id: str
    customer_id: str
    means: str = ""
    person: str = ""
    change: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, bytes] = field(default_factory=dict, repr=False)
    record_id: UUID = field(default_factory=new_id)

    @classmethod
    def of(
        cls, caller: Caller, call: Call | None, result_id: UUID | None, keys: dict[str, bytes] | None = None
    ) -> "Doing | None":
        """What the call under way does; None outside of a call, and where the audit has it already."""
        if call is None or call.audited:
            return None
        request = call.request
        names = request.DESCRIPTOR.fields_by_name if request is not None else ()
        ids = [name for name in names if name.endswith("_id") and name not in ("request_id", "customer_id")]
        object_id = str(result_id) if result_id else mentioned(request, ids)
        means = caller.means if caller.subject else ""
        doing = cls(call, caller, caller.actor, object_id, mentioned(request, ["customer_id"]), means)
        doing.keys = doing.keys if keys is None else keys
        return doing


async def add_record(connection: AsyncConnection, doing: Doing, now: datetime, request_id: str = "") -> None:
    clear, personal = split(doing.call.request)
    record: dict[str, Any] = {
        "id": doing.record_id,
        "occurred_at": now,
        "actor": doing.actor,
        "acting_for": doing.caller.acting_for,
        "means": doing.means,
        "peer": doing.caller.peer,
        "method": doing.call.method.removeprefix("/"),
        "object_id": doing.object_id,
        "customer_id": doing.customer_id,
        # Postgres takes no NUL in a text, JSON's neither.
        "change": json.dumps({**clear, **doing.change}, ensure_ascii=False, default=str).replace(r"\u0000", r"\u2400"),
        "person": "",
        "personal": None,
        "key": None,
        "request_id": request_id or mentioned(doing.call.request, ["request_id"]),
    }
    driver: Any = (await connection.get_raw_connection()).driver_connection
    if not personal:
        await driver.execute(_RECORD, record)
        return
    person = record["person"] = doing.person or doing.customer_id or doing.object_id or doing.actor
    key = doing.keys.get(person) or await _key_of(driver, person)
    while True:
        record |= {"key": key, "personal": encrypted(personal, key, record["id"].bytes)}
        if (await driver.execute(_RECORD, record)).rowcount:
            break
        key = await _key_of(driver, person)
    if len(doing.keys) >= REMEMBERED:
        doing.keys.clear()
    doing.keys[person] = key


async def erase(write: "Write", *persons: str) -> bool:
    """Makes everything personal that the audit holds of these persons or customers unreadable, for good.

    Answers whether there could have been anything. What is recorded afterwards gets a new key.
    """
    found = await write.execute(delete(person_keys).where(person_keys.c.person.in_(persons)))
    return found.rowcount > 0


async def _key_of(driver: "Driver[Any]", person: str) -> bytes:
    """The person's key; made where there is none yet."""
    while True:
        values = {"person": person, "key": os.urandom(KEY_BYTES)}
        if row := await (await driver.execute(_KEY, values)).fetchone():
            return bytes(row[0])
        # Somebody else has just made it; the next statement sees it.
