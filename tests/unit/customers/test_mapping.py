"""What a mapping makes of a file's rows."""

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import uscc

from services.customers.domain.csv_file import CsvFile, Place, Records
from services.customers.domain.fields import CREDIT_VALUES, CUSTOMER, PLAIN, BadValue, Writing, number
from services.customers.domain.mapping import Column, FieldMapping
from services.customers.domain.rows import Batch, Rejection, RowReader
from services.customers.domain.spreadsheets import guarded, unguarded
from services.shared.errors import InvalidArgument


def mapping(**columns: Column) -> FieldMapping:
    known = {"external_id": Column("id"), "name": Column("title")}
    return FieldMapping(CUSTOMER, {**known, **columns}, ignore=["noise"])


def rows(content: str, with_mapping: FieldMapping, *, piece: int = 0) -> Batch:
    """What is made of a file that comes in pieces of so many bytes (0: at once)."""
    records = read(content.encode(), piece=piece)
    return RowReader(with_mapping, records.rows[0]).read(Records(records.lines[1:], records.rows[1:]))


def read(content: bytes, *, piece: int = 0, encoding: str = "utf-8") -> Records:
    file = CsvFile(encoding, ",", Place())
    lines: list[Any] = []
    found: list[Any] = []
    for position in range(0, len(content) or 1, piece or len(content) or 1):
        end = position + (piece or len(content) or 1)
        part = file.feed(content[position:end], last=end >= len(content))
        lines += part.lines
        found += part.rows
    return Records(lines, found)


def values(batch: Batch) -> list[dict[str, Any]]:
    return [dict(zip(batch.values, row, strict=True)) for row in zip(*batch.values.values(), strict=True)]


def test_headings_words_and_dates_are_translated() -> None:
    foreign = mapping(
        kind=Column("type", values={"企业": "ENTERPRISE", "个人": "INDIVIDUAL"}),
        first_sign_date=Column("since", Writing(("%d.%m.%Y",))),
        seats=Column("n", default="1"),
    )
    batch = rows("noise,id,title,type,since,n\n?,K1, 青云 ,个人,31.12.2024,\n", foreign)
    assert batch.lines == [2]
    assert values(batch) == [{"external_id": "K1", "name": "青云", "kind": "INDIVIDUAL", "seats": "1",
                              "first_sign_date": "2024-12-31"}]  # fmt: skip


def test_a_word_that_the_mapping_does_not_list_is_rejected() -> None:
    batch = rows("id,title,type\nK1,X,ENTERPRISE\n", mapping(kind=Column("type", values={"企业": "ENTERPRISE"})))
    assert batch.rejections == [Rejection(2, "type", "ENTERPRISE", "it must be one of 企业")]
    assert batch.rejected == {2: ["K1", "X", "ENTERPRISE"]}


def test_an_empty_cell_is_nothing_and_a_required_one_is_rejected() -> None:
    batch = rows("id,title,n\nK1,X,\nK2, ,3\n", mapping(seats=Column("n")))
    assert values(batch) == [{"external_id": "K1", "name": "X", "seats": None}]
    assert batch.rejections == [Rejection(3, "title", "", "name must not be empty")]


def test_constants_fill_every_row() -> None:
    known = {"external_id": Column("id"), "name": Column("title")}
    [row] = values(rows("id,title\nK1,X\n", FieldMapping(CUSTOMER, known, {"kind": "INDIVIDUAL"})))
    assert row["kind"] == "INDIVIDUAL"


def test_a_prefix_keeps_two_ranges_of_numbers_apart() -> None:
    known = {"external_id": Column("id", prefix="billing-"), "name": Column("title")}
    [row] = values(rows("id,title\n17,X\n", FieldMapping(CUSTOMER, known)))
    assert row["external_id"] == "billing-17"


@pytest.mark.parametrize(
    ("cell", "meant"),
    [("2024-03-25", "2024-03-25"), ("25.03.2024", "2024-03-25"), ("03/25/2024", None), ("", None)],
)
def test_a_date_may_be_written_in_each_of_the_given_ways_and_in_no_other(cell: str, meant: str | None) -> None:
    both = mapping(first_sign_date=Column("since", Writing(("%Y-%m-%d", "%d.%m.%Y"))))
    batch = rows(f"id,title,since\nK1,X,{cell}\n", both)
    if cell and not meant:
        assert "%Y-%m-%d or %d.%m.%Y" in batch.rejections[0].reason
    else:
        assert values(batch)[0]["first_sign_date"] == meant


def test_a_date_that_two_ways_read_differently_is_rejected() -> None:
    both = mapping(first_sign_date=Column("since", Writing(("%d/%m/%Y", "%m/%d/%Y"))))
    batch = rows("id,title,since\nK1,X,03/04/2024\nK2,X,25/04/2024\nK3,X,04/04/2024\n", both)
    assert batch.rejections[0].line == 2
    assert "2024-04-03 or 2024-03-04" in batch.rejections[0].reason
    assert [row["first_sign_date"] for row in values(batch)] == ["2024-04-25", "2024-04-04"]


@pytest.mark.parametrize(
    ("cell", "writing", "meant"),
    [
        ("1,234,567", Writing(thousands=","), "1234567"),
        ("1234567", Writing(thousands=","), "1234567"),
        ("1.234,50", Writing(thousands=".", decimal=","), "1234.50"),
        ("-12 000", Writing(thousands=" "), "-12000"),
        ("12,34", Writing(thousands=","), None),
        ("1,2345", Writing(thousands=","), None),
        ("1,234", PLAIN, None),
        ("1.2.3", PLAIN, None),
        ("1e5", PLAIN, None),
        ("٣", PLAIN, None),
    ],
)
def test_a_number_is_read_as_its_column_writes_numbers(cell: str, writing: Writing, meant: str | None) -> None:
    if meant is None:
        with pytest.raises(BadValue):
            number(cell, writing)
    else:
        assert number(cell, writing) == meant


@given(st.text("0123456789", min_size=8, max_size=8), st.text(list(CREDIT_VALUES), min_size=10, max_size=10))
def test_a_credit_code_is_right_where_the_library_says_so(region: str, rest: str) -> None:
    code = region + rest
    checked = code[:-1] + uscc.calc_check_digit(code[:-1])
    assert CUSTOMER["credit_code"].read(checked, PLAIN) == checked
    if code != checked:
        with pytest.raises(BadValue):
            CUSTOMER["credit_code"].read(code, PLAIN)


def test_a_column_that_nobody_mapped_is_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match="birthday"):
        rows("id,title,birthday\nK1,X,2000-01-01\n", mapping())


def test_a_missing_column_is_named_with_the_likely_one() -> None:
    with pytest.raises(InvalidArgument, match=r"'title'.*did you mean 'Title'"):
        rows("id,Title\nK1,X\n", mapping())


@given(st.text(st.characters(blacklist_categories=["Cc", "Cs"]), min_size=1, max_size=9).map(str.strip).filter(bool))
def test_a_cell_that_was_guarded_against_spreadsheets_is_read_as_it_was(cell: str) -> None:
    [row] = values(rows(written([("id", "title"), ("K1", guarded(cell))]), mapping()))
    assert row["name"] == unguarded(cell)


def test_lines_are_counted_as_an_editor_counts_them() -> None:
    content = 'id,title\nK1,"two\nlines"\n\nK2,X\n'
    assert rows(content, mapping()).lines == [2, 5]


cells = st.text(st.characters(blacklist_categories=["Cc", "Cs"]), min_size=1, max_size=40).map(str.strip).filter(bool)


def written(table: Any) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(table)
    return text.getvalue()


@given(st.lists(st.tuples(cells, cells), max_size=20), st.integers(1, 50))
def test_whatever_is_written_as_csv_is_read_again_in_whatever_pieces(pairs: list[tuple[str, str]], piece: int) -> None:
    batch = rows(written([("id", "title"), *pairs]), mapping(), piece=piece)
    assert [(row["external_id"], row["name"]) for row in values(batch)] == pairs


anything = st.lists(st.lists(st.text(st.characters(blacklist_categories=["Cs"]), max_size=8), min_size=1, max_size=4))


@given(anything, st.integers(1, 30), st.sampled_from(["utf-8", "gb18030"]))
def test_pieces_make_no_difference_to_records_and_lines(table: list[list[str]], piece: int, encoding: str) -> None:
    content = written(table).encode(encoding)
    assert read(content, piece=piece, encoding=encoding) == read(content, encoding=encoding)


@given(st.lists(st.sampled_from(["", " ", "a", "b ", "|", "\\", "x" * 101, "\x01=1", "\u3000"]), min_size=1))
def test_a_column_is_read_at_once_as_it_is_cell_by_cell(column: list[str]) -> None:
    known = {"external_id": Column("id"), "name": Column("title"), "short_name": Column("short")}
    reader = RowReader(FieldMapping(CUSTOMER, known), ["id", "title", "short"])
    table = [["K", "X", cell] for cell in column]
    lines = list(range(len(table)))
    at_once = reader.read(Records(lines, table))
    one_by_one = [reader.read(Records([line], [row])) for line, row in zip(lines, table, strict=True)]
    assert values(at_once) == [row for each in one_by_one for row in values(each)]
    assert list(at_once.rejections) == [rejection for each in one_by_one for rejection in each.rejections]
