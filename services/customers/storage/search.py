"""Looking customers up by what is typed.

Whoever sees few customers is answered from these customers' rows alone. For whoever sees many, so many rows that match
are looked at most that a word which half of all names hold costs little more than a rare one; the best are among them,
for what begins with the word is read in the order of the alphabet.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Uuid, bindparam, column, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from services.customers.domain.search import fold, initials_tokens, pinyin_tokens, text_tokens
from services.shared.access import Scope, unscoped
from services.shared.access.ids import IdArray, Ids
from services.shared.access.tables import customer_access

FEW_CUSTOMERS = 3000
LOOKED_AT = 1000
"""Rows of each way in which they match."""
CODES = 100
HOLDS = {
    "text": "(position(:text in s.name) > 0 or position(:text in s.short_name) > 0 or position(:text in s.codes) > 0)",
    "pinyin": "position(:letters in s.pinyin) > 0",
    "initials": "position(:letters in s.initials) > 0",
}
"""What a row that has a query's tokens is then looked at for."""
LAST_CHARACTER = "\U0010ffff"
SAID = {0: "NUMBER", 1: "NUMBER", 2: "NAME", 3: "NAME", 4: "NAME", 5: "NUMBER", 6: "PINYIN", 7: "PINYIN"}
"""How a customer matches, by its rank; as what it is told. Those beyond match by a contact."""
BEGINNINGS = 3
"""The last rank of names and codes that begin with what was typed."""

# The parts of `found` are the ways to match; a row that none of the ranks fits has its tokens by chance.
_RANKED = """
    with found as materialized ({found}), ranked as (
        select id, customer_id, name, is_contact, case
            when not is_contact then case
                when position(' ' || :text || ' ' in ' ' || codes || ' ') > 0 then 0
                when position(' ' || :text in ' ' || codes) > 0 then 1
                when :text in (name, short_name) then 2
                when starts_with(name, :text) or starts_with(short_name, :text) then 3
                when position(:text in name) > 0 or position(:text in short_name) > 0 then 4
                when position(:text in codes) > 0 then 5
                when :letters = '' then null
                when position(' ' || :letters in ' ' || pinyin || ' ' || initials) > 0 then 6
                when position(:letters in pinyin || ' ' || initials) > 0 then 7 end
            when name = :text then 8
            when starts_with(name, :text) then 9
            when position(:text in name) > 0 then 10
            when :letters <> '' and position(:letters in pinyin || ' ' || initials) > 0 then 11 end as rank
        from found
    )
    select distinct on (customer_id) customer_id, case when is_contact then id end as contact_id, rank, name
    from ranked where rank is not null order by customer_id, rank, length(name), name
"""
_COLUMNS = "s.id, s.customer_id, s.is_contact, s.name, s.short_name, s.codes, s.pinyin, s.initials"
_IN_SCOPE = "what it finds is put through the caller's scope, or is of customers that were found in it"


@dataclass(frozen=True)
class Hit:
    """`contact_id`: the contact that matched, where none of the customer's own names did."""

    customer_id: UUID
    rank: int
    contact_id: UUID | None

    @property
    def match(self) -> str:
        """A SearchMatch without its prefix."""
        return SAID.get(self.rank, "CONTACT")


async def search(connection: AsyncConnection, scope: Scope, typed: str, most: int) -> Sequence[Hit]:
    """Up to `most` customers that match what was typed, the best first: number, exact name, its beginning, its middle,
    pinyin, contact; of equal ones the shorter name. One that holds a token of many others may be left out.
    """
    query = _Query(typed)
    if not query.text:
        return []
    mine = await _few(connection, scope)
    quick = list(query.beginnings())
    hits = await _found(connection, scope, query, quick, mine, most)
    if len(hits) == most and hits[-1].rank <= BEGINNINGS:
        return hits
    middles = list(query.middles())
    return await _found(connection, scope, query, [*quick, *middles], mine, most) if middles else hits


class _Query:
    def __init__(self, typed: str) -> None:
        self.text = fold(typed)
        letters = self.text.replace(" ", "").replace("'", "")
        self.letters = letters if letters.isascii() and letters.isalpha() else ""
        written = typed.strip()
        self.values: dict[str, Any] = {
            "text": self.text, "text_end": self.text + LAST_CHARACTER,
            "letters": self.letters, "letters_end": self.letters + LAST_CHARACTER,
            # Codes are compared as they were written, for their indexes know no folding.
            **{f"code_{n}": code for n, code in enumerate((written, written.upper(), written.lower()))},
            **{f"code_end_{n}": code + LAST_CHARACTER
               for n, code in enumerate((written, written.upper(), written.lower()))},
        }  # fmt: skip

    def beginnings(self) -> Iterator[tuple[str, str]]:
        """Conditions, and by what their rows are read in order: beginnings of codes, names and pinyin."""
        for code in ("number", "external_id"):
            parts = [f"(select c.id from customers c where c.{code} >= :code_{n} and c.{code} < :code_end_{n} "  # noqa: S608
                     f"order by c.{code} limit {CODES})" for n in range(3)]  # fmt: skip
            yield f"s.id = any(array({' union '.join(parts)}))", ""
        begins = "s.name >= :text and s.name < :text_end"
        yield f"not s.is_contact and {begins}", "s.name"
        yield "s.short_name <> '' and s.short_name >= :text and s.short_name < :text_end", "s.short_name"
        yield f"s.is_contact and {begins}", "s.name"
        if self.letters:
            begins = "s.pinyin <> '' and s.pinyin >= :letters and s.pinyin < :letters_end"
            yield f"not s.is_contact and {begins}", "s.pinyin"
            yield f"s.is_contact and {begins}", "s.pinyin"

    def middles(self) -> Iterator[tuple[str, str]]:
        """Conditions on tokens: the middle of names and codes, syllables, initials."""
        tokens = {"text": text_tokens(self.text)}
        if self.letters:
            tokens |= {"pinyin": pinyin_tokens(self.letters), "initials": initials_tokens(self.letters)}
        for name, wanted in tokens.items():
            if wanted:
                self.values[f"{name}_tokens"] = wanted
                yield f"s.tokens @> :{name}_tokens and {HOLDS[name]}", ""


async def _few(connection: AsyncConnection, scope: Scope) -> Ids | None:
    """The customers in scope, where they are few; None where they are many."""
    if scope.everything:
        return None
    query = select(customer_access.c.customer_id).distinct().limit(FEW_CUSTOMERS + 1)
    found = (await connection.execute(scope.whole(query, customer_access.c.customer_id))).scalars().all()
    return Ids(found) if len(found) <= FEW_CUSTOMERS else None


async def _found(
    connection: AsyncConnection,
    scope: Scope,
    query: _Query,
    ways: Sequence[tuple[str, str]],
    mine: Ids | None,
    most: int,
) -> list[Hit]:
    parts = []
    for condition, order in ways:
        where = f"s.customer_id = any(:mine) and {condition}" if mine is not None else condition
        sort = f" order by {order}" if order else ""
        limit = "" if mine is not None else f" limit {LOOKED_AT}"
        parts.append(f"(select {_COLUMNS} from customer_search s where {where}{sort}{limit})")  # noqa: S608
    statement = text(_RANKED.format(found=" union ".join(parts)))
    values = {**query.values, "mine": mine}
    used = {name: value for name, value in values.items() if name in statement._bindparams}
    kinds = {"mine": IdArray()} | {name: ARRAY(Integer) for name in used if name.endswith("_tokens")}
    statement = statement.bindparams(*(bindparam(name, type_=kinds[name]) for name in kinds if name in used))
    ranked = statement.columns(
        column("customer_id", Uuid), column("contact_id", Uuid), column("rank", Integer), column("name")
    ).subquery("ranked")
    best = select(ranked).order_by(ranked.c.rank, func.length(ranked.c.name), ranked.c.name, ranked.c.customer_id)
    best = best.limit(most)
    if mine is None:
        best = scope.limit(best, ranked.c.customer_id)
    rows = await connection.execute(unscoped(best, _IN_SCOPE), used)
    return [Hit(row.customer_id, row.rank, row.contact_id) for row in rows]
