"""Files as people have them: with other dates and numbers, as spreadsheets, cut off, far too large."""

import csv
import io
import random
from collections.abc import Sequence
from datetime import date
from typing import Any

import openpyxl
import pytest

from kejing.customers.v1 import imports_service_pb2 as pb
from kejing.customers.v1.imports_service_pb2_grpc import ImportsServiceStub
from services.customers.api import uploads
from tests.support.customers import (
    Brought,
    bring,
    by_external_id,
    counts,
    csv_of,
    finish,
    fresh,
    plain_mapping,
    send,
    upload,
)
from tests.support.refusals import refused
from tests.support.services import RunningServices

PLAIN = plain_mapping(["external_id", "name"])


def mapping(**more: pb.ColumnMapping) -> pb.Mapping:
    made = plain_mapping(["external_id", "name"])
    for name, column in more.items():
        column.column = column.column or name
        made.columns[name].CopyFrom(column)
    return made


def workbook(*rows: Sequence[Any], sheet: str = "") -> bytes:
    book = openpyxl.Workbook()
    page: Any = book.create_sheet(sheet) if sheet else book.active
    for row in rows:
        page.append(list(row))
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


async def rejected_file(services: RunningServices, import_id: str) -> list[list[str]]:
    stub = await services.stub(ImportsServiceStub, "")
    metadata = (("authorization", f"Bearer {await services.sign_in('employee:admin')}"),)
    asked = pb.DownloadRejectedRowsRequest(import_id=import_id)
    content = b"".join([part.data async for part in stub.DownloadRejectedRows(asked, metadata=metadata)])
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


async def test_a_date_in_two_formats_in_one_column_needs_both(services: RunningServices) -> None:
    rows = [{"external_id": fresh(), "name": "A", "since": cell} for cell in ("2024-03-25", "25.03.2024", "3/4/2024")]
    one = await upload(
        services, "ImportCustomers", csv_of(rows), mapping(first_sign_date=pb.ColumnMapping(column="since"))
    )
    assert counts(one) == {"rows_read": 3, "created": 1, "rejected": 2}
    both = mapping(first_sign_date=pb.ColumnMapping(column="since", other_formats=["%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y"]))
    again = await upload(services, "ImportCustomers", csv_of(rows), both)
    assert counts(again) == {"rows_read": 3, "created": 1, "unchanged": 1, "rejected": 1}
    [bad] = again.rejected_rows
    assert (bad.line, bad.column, bad.value) == (4, "since", "3/4/2024")
    assert "2024-04-03 or 2024-03-04" in bad.reason


async def test_a_number_with_thousands_separators_needs_them_named(services: RunningServices) -> None:
    key = fresh()
    rows = [{"external_id": key, "name": "A", "seats": "1,200"}]
    plain = await upload(services, "ImportCustomers", csv_of(rows), mapping(seats=pb.ColumnMapping()))
    assert plain.rejected_rows[0].column == "seats"
    named = await upload(services, "ImportCustomers", csv_of(rows), mapping(seats=pb.ColumnMapping(thousands=",")))
    assert named.created == 1
    assert (await by_external_id(services, key)).seats == 1200


async def test_other_delimiters_are_read_where_they_are_named(services: RunningServices) -> None:
    key = fresh()
    made = plain_mapping(["external_id", "name"], delimiter=";")
    assert (await upload(services, "ImportCustomers", f"external_id;name\n{key};A, B\n".encode(), made)).created == 1
    assert (await by_external_id(services, key)).name == "A, B"


async def test_a_spreadsheet_comes_in_with_its_numbers_and_dates(services: RunningServices) -> None:
    key, other = fresh(), fresh()
    content = workbook(
        ["external_id", "name", "seats", "since"],
        [key, "青云", 1200, date(2024, 2, 29)],
        [],
        [other, "Two\nlines", 3.0, "31.12.2023"],
    )
    made = mapping(
        seats=pb.ColumnMapping(thousands=".", decimal=","),
        first_sign_date=pb.ColumnMapping(column="since", format="%d.%m.%Y"),
    )
    assert counts(await upload(services, "ImportCustomers", content, made)) == {"rows_read": 2, "created": 2}
    first, second = await by_external_id(services, key), await by_external_id(services, other)
    assert (first.name, first.seats, first.first_sign_date.day) == ("青云", 1200, 29)
    assert (second.name, second.seats, second.first_sign_date.month) == ("Two\nlines", 3, 12)
    again = await upload(services, "ImportCustomers", content, made)
    assert counts(again) == {"rows_read": 2, "unchanged": 2}


async def test_a_formula_is_rejected_by_its_row_in_the_sheet(services: RunningServices) -> None:
    content = workbook(["external_id", "name"], [fresh(), "A"], [], [fresh(), "=1+1"], sheet="Kunden")
    made = plain_mapping(["external_id", "name"], sheet="Kunden")
    result = await upload(services, "ImportCustomers", content, made)
    assert counts(result) == {"rows_read": 2, "created": 1, "rejected": 1}
    [bad] = result.rejected_rows
    assert (bad.line, bad.column, bad.value) == (4, "name", "=1+1")
    assert "formula" in bad.reason
    assert (await rejected_file(services, result.id))[1][1] == "'=1+1"  # it is no formula any more


async def test_a_sheet_that_is_not_there_is_named_with_those_that_are(services: RunningServices) -> None:
    content = workbook(["external_id", "name"], [fresh(), "A"])
    made = plain_mapping(["external_id", "name"], sheet="Kunden")
    answer = await refused(upload(services, "ImportCustomers", content, made))
    assert (answer.reason, "Sheet" in answer.message) == ("SHEET_MISSING", True)


async def test_a_truncated_spreadsheet_is_refused(services: RunningServices) -> None:
    content = workbook(["external_id", "name"], *[[fresh(), f"{random.random()}"] for _ in range(500)])
    for size in (10, len(content) // 2, len(content) - 30):
        answer = await refused(upload(services, "ImportCustomers", content[:size], PLAIN))
        assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "FILE_BROKEN")


async def test_an_old_spreadsheet_is_refused_with_what_to_do(services: RunningServices) -> None:
    answer = await refused(upload(services, "ImportCustomers", b"\xd0\xcf\x11\xe0" + b"x" * 100, PLAIN))
    assert (answer.reason, "XLSX or CSV" in answer.message) == ("FILE_BROKEN", True)


async def test_a_file_that_is_too_large_is_refused_on_its_way(
    services: RunningServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "LARGEST_FILE", 200_000)
    rows = [{"external_id": f"{n}", "name": "x" * 100} for n in range(3000)]
    answer = await refused(upload(services, "ImportCustomers", csv_of(rows), PLAIN))
    assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "FILE_TOO_LARGE")


async def test_a_file_that_breaks_behind_its_beginning_fails_and_says_where(services: RunningServices) -> None:
    mark = fresh()
    good = "".join(f"{mark}-{n},{'x' * 150}\n" for n in range(9000))  # more than a piece of a file
    content = f'external_id,name\n{good}{mark}-last,"never closed\n'.encode()
    result = await upload(services, "ImportCustomers", content, PLAIN, piece=1_000_000)
    assert result.state == pb.IMPORT_STATE_FAILED
    assert "line 9002" in result.failure
    assert (result.created, result.ended_at.seconds > 0) == (0, True)


async def test_rejected_rows_are_mended_and_fed_again(services: RunningServices) -> None:
    good, bad, foreign = fresh(), fresh(), fresh()
    rows = [
        {"external_id": good, "name": "Good", "kind": "ENTERPRISE", "note": "a"},
        {"external_id": bad, "name": "", "kind": "COMPANY", "note": 'with "quotes", and\nlines'},
        {"external_id": foreign, "name": "Other", "kind": "", "note": "c"},
    ]
    await bring_from(services, "billing", foreign)
    made = plain_mapping(["external_id", "name", "kind"], ignore=["note"])
    result = await upload(services, "ImportCustomers", csv_of(rows), made)
    assert counts(result) == {"rows_read": 3, "created": 1, "rejected": 2}

    heading, *lines = await rejected_file(services, result.id)
    assert heading == ["external_id", "name", "kind", "note", "rejected because"]
    assert [line[:4] for line in lines] == [[bad, "", "COMPANY", rows[1]["note"]], [foreign, "Other", "", "c"]]
    assert lines[0][4].startswith("name: ")
    assert "; kind: " in lines[0][4]
    assert "billing" in lines[1][4]

    text = io.StringIO()
    csv.writer(text).writerows([heading, [bad, "Mended", "ENTERPRISE", *lines[0][3:]]])
    assert counts(await upload(services, "ImportCustomers", text.getvalue().encode("utf-8-sig"), made)) == {
        "rows_read": 1,
        "created": 1,
    }


async def bring_from(services: RunningServices, source: str, key: str) -> Brought:
    return await upload(services, "ImportCustomers", csv_of([{"external_id": key, "name": key}]), PLAIN, source=source)


async def test_a_credit_code_is_checked(services: RunningServices) -> None:
    right, wrong = fresh(), fresh()
    rows = [
        {"external_id": right, "name": "A", "credit_code": "91110000600037341L"},
        {"external_id": wrong, "name": "B", "credit_code": "91110000600037341A"},
    ]
    result = await bring(services, "ImportCustomers", rows)
    assert counts(result) == {"rows_read": 2, "created": 1, "rejected": 1}
    assert (await by_external_id(services, right)).credit_code == "91110000600037341L"


async def test_the_same_request_is_answered_with_the_same_import_and_another_file_refused(
    services: RunningServices,
) -> None:
    request_id, content = fresh("r"), csv_of([{"external_id": fresh(), "name": "A"}])
    first = await send(services, "ImportCustomers", content, PLAIN, request_id=request_id)
    again = await send(services, "ImportCustomers", content, PLAIN, request_id=request_id)
    assert again.id == first.id
    answer = await refused(send(services, "ImportCustomers", content + b"X,Y\n", PLAIN, request_id=request_id))
    assert (answer.code, answer.reason) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    await finish(services, first.id)


async def test_a_row_far_on_in_a_long_file_comes_back_whole_to_be_mended(services: RunningServices) -> None:
    rows = [
        {"customer_external_id": fresh(), "external_id": fresh(), "name": f"No {n}", "note": "x" * 100_000}
        for n in range(95)
    ]
    columns = plain_mapping(["customer_external_id", "external_id", "name"], ignore=["note"])
    result = await upload(services, "ImportContacts", csv_of(rows), columns, piece=1_000_000)
    assert counts(result) == {"rows_read": 95, "rejected": 95}
    _, *mended = await rejected_file(services, result.id)
    assert [row[:3] for row in mended] == [list(row.values())[:3] for row in rows]
