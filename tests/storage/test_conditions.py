"""A condition's answer in SQL is the answer in Python, for any tree, values and missing values."""

from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Boolean, Date, Numeric, Text, cast, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from services.customers.storage.tables import metadata
from services.shared.clock import utc_now
from services.shared.conditions.sql import to_sql
from services.shared.conditions.tree import AllOf, AnyOf, Comparison, Condition, Not, answer
from services.shared.conditions.values import OPERATORS, Day, FieldType, Operator
from services.shared.db import Database
from tests.support.infrastructure import TestInfrastructure

TODAY = date(2026, 11, 22)
WORDS = ["a", "A", "ab", "Straße", "STRASSE", "İ", "i", "ΟΔΟΣ", "οδος", "北京", "北", "ß%_\\", "ﬀ"]
TYPES: dict[str, Any] = {
    FieldType.NUMBER: Numeric(),
    FieldType.DATE: Date(),
    FieldType.TEXT: Text(),
    FieldType.BOOLEAN: Boolean(),
    FieldType.OPTION: Text(),
    FieldType.SET: ARRAY(Text()),
}
numbers = st.decimals(-3, 3, places=1)
days = st.integers(-2, 2).map(lambda n: TODAY + timedelta(days=n))
characters = st.characters(exclude_categories=["Cs", "Cn"], exclude_characters="\x00")
words = st.sampled_from(WORDS) | st.text(characters, min_size=1, max_size=3)
OPERANDS: dict[FieldType, st.SearchStrategy[Any]] = {
    FieldType.NUMBER: numbers,
    FieldType.DATE: days.map(Day) | st.integers(-2, 2).map(lambda n: Day(after_today=n)),
    FieldType.TEXT: words,
    FieldType.BOOLEAN: st.booleans(),
    FieldType.OPTION: st.sampled_from(WORDS),
    FieldType.SET: st.sampled_from(WORDS),
}
values = st.fixed_dictionaries(
    {
        FieldType.NUMBER: st.none() | numbers,
        FieldType.DATE: st.none() | days,
        FieldType.TEXT: st.none() | st.just("") | words,
        FieldType.BOOLEAN: st.none() | st.booleans(),
        FieldType.OPTION: st.none() | st.sampled_from(WORDS),
        FieldType.SET: st.frozensets(st.sampled_from(WORDS), max_size=3),
    }
)


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    type_ = draw(st.sampled_from(list(FieldType)))
    operator = draw(st.sampled_from(OPERATORS[type_]))
    if operator is Operator.KNOWN:
        return Comparison(type_, operator, type=type_)
    if operator is Operator.ONE_OF:
        several = draw(st.lists(OPERANDS[type_], min_size=1, max_size=3))
        return Comparison(type_, operator, values=tuple(several), type=type_)
    return Comparison(type_, operator, draw(OPERANDS[type_]), type=type_)


conditions = st.recursive(
    comparisons(),
    lambda parts: st.one_of(
        st.builds(AllOf, st.lists(parts, min_size=1, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(parts, min_size=1, max_size=3).map(tuple)),
        st.builds(Not, parts),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
async def read(infrastructure: TestInfrastructure) -> AsyncIterator[AsyncConnection]:
    async with infrastructure.new_database("customers") as url:
        db = Database(url, utc_now, metadata)
        async with db.read() as read:
            yield read
        await db.close()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(conditions, values, st.booleans())
async def test_the_answer_in_sql_is_the_answer_in_python(
    read: AsyncConnection, condition: Condition, known: dict[str, Any], strict: bool
) -> None:
    columns: dict[str, Any] = {
        type_: cast(literal(list(value) if isinstance(value, frozenset) else value, TYPES[FieldType(type_)]),
                    TYPES[FieldType(type_)])
        for type_, value in known.items()
    }  # fmt: skip
    found = (await read.execute(select(to_sql(condition, columns, TODAY, strict=strict)))).scalar_one()
    assert found == answer(condition, known, TODAY, strict=strict)
