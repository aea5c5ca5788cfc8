"""Lists of customers leave as files that say what the list says, and that no spreadsheet runs."""

import csv
import io
from typing import Any

import pytest
from openpyxl import load_workbook
from sqlalchemy import select

from kejing.customers.v1 import customers_service_pb2 as pb
from kejing.customers.v1 import tags_service_pb2
from kejing.customers.v1.customers_service_pb2_grpc import CustomersServiceStub
from kejing.customers.v1.tags_service_pb2_grpc import TagsServiceStub
from services.customers.api import export as export_module
from services.shared.audit.tables import audit
from tests.support.customers import bring, by_external_id, colleague, fresh, own
from tests.support.refusals import refused
from tests.support.services import RunningServices


async def exported(services: RunningServices, prefix: str, who: str = "employee:admin", **asked: Any) -> bytes:
    stub = await services.stub(CustomersServiceStub, "")
    metadata = (("authorization", f"Bearer {await services.sign_in(who)}"),)
    request = pb.ExportCustomersRequest(request_id=fresh(), filter=pb.CustomerFilter(name_prefix=prefix), **asked)
    return b"".join([part.data async for part in stub.ExportCustomers(request, metadata=metadata)])


def rows_of(content: bytes) -> list[dict[str, str]]:
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


async def test_a_list_is_written_in_its_order_with_owners_by_name_and_tags(services: RunningServices) -> None:
    mark, owner = fresh("文件"), await colleague(services)
    rows = [
        {"external_id": f"{mark}-{n}", "name": f"{mark} {n}", "seats": n, "first_sign_date": "2025-03-01"}
        for n in (1, 2, 3)
    ]
    await bring(services, "ImportCustomers", rows)
    await own(services, f"{mark}-2", owner.login)
    tags = await services.stub(TagsServiceStub)
    ids = [(await by_external_id(services, f"{mark}-2")).id]
    for tag in ("重点", "新"):
        await tags.TagCustomers(tags_service_pb2.TagCustomersRequest(request_id=fresh(), tag=tag, customer_ids=ids))
    fields = ["name", "seats", "first_sign_date", "owners", "tags", "health_status"]
    found = rows_of(await exported(services, mark, fields=fields, descending=True))
    assert [row["name"] for row in found] == [f"{mark} {n}" for n in (3, 2, 1)]
    assert found[1] == {
        "name": f"{mark} 2", "seats": "2", "first_sign_date": "2025-03-01", "owners": f"CSM {owner.display_name}",
        "tags": "新; 重点", "health_status": "NOT_COMPUTED",
    }  # fmt: skip
    everything = rows_of(await exported(services, mark))
    assert everything[0]["number"].startswith("CUS")
    assert everything[0]["external_id"] == f"{mark}-1"


@pytest.mark.parametrize("beginning", ["=", "+", "-", "@", "＝"])
async def test_a_cell_that_a_spreadsheet_would_run_begins_with_an_apostrophe(
    services: RunningServices, beginning: str
) -> None:
    name = f"{beginning}cmd|' /C calc'!A0{fresh()}"
    await bring(services, "ImportCustomers", [{"external_id": fresh(), "name": name, "short_name": "fine"}])
    [row] = rows_of(await exported(services, name, fields=["name", "short_name"]))
    assert row == {"name": f"'{name}", "short_name": "fine"}
    book = load_workbook(io.BytesIO(await exported(services, name, fields=["name"], format=pb.FILE_FORMAT_XLSX)))
    assert (book.active["A2"].value, book.active["A2"].data_type) == (f"'{name}", "s")


async def test_a_sheet_keeps_numbers_and_dates_as_such(services: RunningServices) -> None:
    mark = fresh()
    row = {"external_id": mark, "name": mark, "seats": 7, "last_contract_end": "2099-12-31"}
    await bring(services, "ImportCustomers", [row])
    content = await exported(services, mark, fields=["seats", "last_contract_end"], format=pb.FILE_FORMAT_XLSX)
    heading, [seats, end] = load_workbook(io.BytesIO(content)).active.iter_rows(values_only=True)
    assert heading == ("seats", "last_contract_end")
    assert (seats, f"{end:%Y-%m-%d}") == (7, "2099-12-31")


async def test_a_list_of_many_pages_is_whole(services: RunningServices, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_module, "PAGE_ROWS", 2)
    monkeypatch.setattr(export_module, "SHEET_ROWS", 3)
    mark = fresh()
    rows = [{"external_id": f"{mark}-{n}", "name": f"{mark}-{n}"} for n in range(5)]
    await bring(services, "ImportCustomers", rows)
    wanted = [row["name"] for row in rows]
    assert [row["name"] for row in rows_of(await exported(services, mark, fields=["name"]))] == wanted
    book = load_workbook(io.BytesIO(await exported(services, mark, fields=["name"], format=pb.FILE_FORMAT_XLSX)))
    assert [cell for sheet in book for [cell] in sheet.iter_rows(min_row=2, values_only=True)] == wanted


async def test_only_what_is_in_scope_leaves_and_the_audit_knows(services: RunningServices) -> None:
    mark, owner = fresh(), await colleague(services, "MANAGER")
    await bring(services, "ImportCustomers", [{"external_id": f"{mark}-{n}", "name": f"{mark}-{n}"} for n in (1, 2)])
    await own(services, f"{mark}-1", owner.login)
    me = f"employee:{owner.login}"
    assert [row["name"] for row in rows_of(await exported(services, mark, me, fields=["name"]))] == [f"{mark}-1"]
    query = select(audit.c.method, audit.c.change).where(audit.c.actor.contains(owner.id))
    async with services.db("customers").read() as read:
        [record] = (await read.execute(query)).all()
    assert record.method.endswith("/ExportCustomers")
    assert record.change["fields"] == ["name"]


async def test_who_may_not_export_and_what_is_no_field_is_refused(services: RunningServices) -> None:
    someone = await colleague(services)
    answer = await refused(exported(services, "x", f"employee:{someone.login}"))
    assert (answer.code, answer.reason) == ("PERMISSION_DENIED", "PERMISSION_MISSING")
    answer = await refused(exported(services, "x", fields=["name", "shoe_size"]))
    assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "FIELD_UNKNOWN")
    assert "shoe_size" in answer.message
