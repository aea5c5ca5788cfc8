"""What a mapping makes of a file's rows."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.customers.domain.csv_file import Rejection, Row, read_rows
from services.customers.domain.fields import CUSTOMER
from services.customers.domain.mapping import Column, FieldMapping
from services.shared.errors import InvalidArgument


def mapping(**columns: Column) -> FieldMapping:
    known = {"external_id": Column("id"), "name": Column("title")}
    return FieldMapping(CUSTOMER, {**known, **columns}, ignore=["noise"])


def rows(content: str, with_mapping: FieldMapping) -> list[Row | list[Rejection]]:
    return list(read_rows(io.StringIO(content, newline=""), with_mapping))


def test_headings_words_and_dates_are_translated() -> None:
    foreign = mapping(
        kind=Column("type", values={"企业": "ENTERPRISE", "个人": "INDIVIDUAL"}),
        first_sign_date=Column("since", date_format="%d.%m.%Y"),
        seats=Column("n", default="1"),
    )
    [row] = rows("noise,id,title,type,since,n\n?,K1, 青云 ,个人,31.12.2024,\n", foreign)
    assert row == Row(2, {"external_id": "K1", "name": "青云", "kind": "INDIVIDUAL", "seats": 1,
                          "first_sign_date": "2024-12-31"})  # fmt: skip


def test_a_word_that_the_mapping_does_not_list_is_rejected() -> None:
    [rejections] = rows("id,title,type\nK1,X,ENTERPRISE\n", mapping(kind=Column("type", values={"企业": "ENTERPRISE"})))
    assert isinstance(rejections, list)
    assert rejections == [Rejection(2, "type", "ENTERPRISE", "it must be one of 企业")]


def test_an_empty_cell_is_nothing_and_a_required_one_is_rejected() -> None:
    [row, rejections] = rows("id,title,n\nK1,X,\nK2, ,3\n", mapping(seats=Column("n")))
    assert isinstance(row, Row)
    assert row.values["seats"] is None
    assert rejections == [Rejection(3, "title", "", "name must not be empty")]


def test_constants_fill_every_row() -> None:
    known = {"external_id": Column("id"), "name": Column("title")}
    [row] = rows("id,title\nK1,X\n", FieldMapping(CUSTOMER, known, {"kind": "INDIVIDUAL"}))
    assert isinstance(row, Row)
    assert row.values["kind"] == "INDIVIDUAL"


def test_a_column_that_nobody_mapped_is_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match="birthday"):
        rows("id,title,birthday\nK1,X,2000-01-01\n", mapping())


def test_a_missing_column_is_named_with_the_likely_one() -> None:
    with pytest.raises(InvalidArgument, match=r"'title'.*did you mean 'Title'"):
        rows("id,Title\nK1,X\n", mapping())


def test_lines_are_counted_as_an_editor_counts_them() -> None:
    content = 'id,title\nK1,"two\nlines"\n\nK2,X\n'
    assert [row.line for row in rows(content, mapping()) if isinstance(row, Row)] == [2, 5]


cells = st.text(st.characters(blacklist_categories=["Cc", "Cs"]), min_size=1, max_size=40).map(str.strip).filter(bool)


@given(st.lists(st.tuples(cells, cells), max_size=20))
def test_whatever_is_written_as_csv_is_read_again(pairs: list[tuple[str, str]]) -> None:
    import csv

    text = io.StringIO()
    csv.writer(text).writerows([("id", "title"), *pairs])
    found = rows(text.getvalue(), mapping())
    assert [(row.values["external_id"], row.values["name"]) for row in found if isinstance(row, Row)] == pairs
