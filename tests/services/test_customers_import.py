"""Files come in: what is new, what changed, what is rejected, and what is refused as a whole."""

import os
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text

from kejing.customers.v1 import customer_pb2, imports_service_pb2
from kejing.customers.v1 import customers_service_pb2 as pb
from kejing.customers.v1.customers_service_pb2_grpc import CustomersServiceStub
from kejing.customers.v1.imports_service_pb2_grpc import ImportsServiceStub
from services.cli.mapping_file import read_mapping
from services.customers.storage.import_tables import import_chunks
from services.customers.storage.tables import customers
from tests.support.customers import (
    bring,
    by_external_id,
    counts,
    csv_of,
    everything,
    fresh,
    plain_mapping,
    told,
    upload,
)
from tests.support.refusals import refused
from tests.support.services import RunningServices

DATA = Path(__file__).parents[1] / "data"
RAVENSTACK = Path(os.environ.get("KEJING_RAVENSTACK") or Path(__file__).parents[3] / "shared/data/ravenstack")


@pytest.fixture
async def stub(services: RunningServices) -> Any:
    return await services.stub(CustomersServiceStub)


async def kept(services: RunningServices) -> int:
    """How much is left of files and their rows on the way."""
    async with services.db("customers").read() as read:
        tables = await read.execute(text("select count(*) from pg_tables where schemaname = 'staging'"))
        chunks = await read.execute(select(func.count()).select_from(import_chunks))
        return int(tables.scalar_one()) + int(chunks.scalar_one())


async def test_customers_come_in_with_number_and_event(services: RunningServices, stub: Any) -> None:
    key = fresh()
    row = {"external_id": key, "name": "青云科技", "short_name": "青云", "kind": "ENTERPRISE", "seats": 12,
           "first_sign_date": "2024-02-29", "last_contract_end": "2031-12-31", "region": " 上海 "}  # fmt: skip
    assert counts(await bring(services, "ImportCustomers", [row])) == {"rows_read": 1, "created": 1}

    customer = await by_external_id(services, key)
    assert customer.number.startswith("CUS20")
    assert (customer.name, customer.region, customer.seats, customer.version) == ("青云科技", "上海", 12, 1)
    assert (customer.first_sign_date.month, customer.first_sign_date.day) == (2, 29)
    assert not customer.churned
    [facts] = await told(services, key)
    assert (facts.id, facts.number, facts.short_name, facts.version) == (customer.id, customer.number, "青云", 1)


async def test_the_same_file_again_changes_nothing_and_tells_nothing(services: RunningServices, stub: Any) -> None:
    rows = [{"external_id": fresh(), "name": f"Customer {n}", "seats": n or "", "industry": ""} for n in range(5)]
    rows.append({**rows[0], "name": "Renamed"})
    first = await bring(services, "ImportCustomers", rows)
    assert counts(first) == {"rows_read": 6, "created": 5, "superseded": 1}
    before = await everything(services)

    again = await bring(services, "ImportCustomers", rows)

    assert counts(again) == {"rows_read": 6, "unchanged": 5, "superseded": 1}
    assert await everything(services) == before
    assert (await by_external_id(services, str(rows[0]["external_id"]))).name == "Renamed"


async def test_only_what_differs_is_updated_and_unmapped_fields_stay(services: RunningServices, stub: Any) -> None:
    one, two = fresh(), fresh()
    await bring(services, "ImportCustomers", [{"external_id": one, "name": "One", "industry": "Retail"},
                                              {"external_id": two, "name": "Two", "industry": "Bank"}])  # fmt: skip
    result = await bring(services, "ImportCustomers", [{"external_id": one, "name": "Uno"},
                                                       {"external_id": two, "name": "Two"}])  # fmt: skip

    assert counts(result) == {"rows_read": 2, "updated": 1, "unchanged": 1}
    changed = await by_external_id(services, one)
    assert (changed.name, changed.industry, changed.version) == ("Uno", "Retail", 2)
    assert [facts.version for facts in await told(services, one)] == [1, 2]
    assert [facts.version for facts in await told(services, two)] == [1]


async def test_the_name_of_a_person_leaves_in_no_event(services: RunningServices, stub: Any) -> None:
    key = fresh()
    row = {"external_id": key, "name": "王小明", "short_name": "小明", "kind": "INDIVIDUAL"}
    await bring(services, "ImportCustomers", [row])

    [facts] = await told(services, key)
    assert (facts.name, facts.short_name, facts.kind) == ("", "", customer_pb2.CUSTOMER_KIND_INDIVIDUAL)
    assert (await by_external_id(services, key)).name == "王小明"


async def test_bad_rows_are_rejected_with_line_column_value_and_reason_and_good_ones_go_in(
    services: RunningServices, stub: Any
) -> None:
    good, other = fresh(), fresh()
    lines = [
        "external_id,name,kind,seats,first_sign_date",
        f'{good},"Two\nlines",ENTERPRISE,3,2024-01-31',
        f"{fresh()},,ENTERPRISE,3,2024-01-31",
        f"{fresh()},Bad date,ENTERPRISE,3,2024-02-30",
        "",
        f"{fresh()},Bad both,COMPANY,-1,2024-02-01",
        f"{fresh()},Short row,ENTERPRISE",
        f"{fresh()},{'x' * 201},ENTERPRISE,1,",
        f"{other},Good,ENTERPRISE,,",
    ]
    mapping = plain_mapping(lines[0].split(","))
    result = await upload(services, "ImportCustomers", "\n".join(lines).encode(), mapping, piece=7)

    assert counts(result) == {"rows_read": 7, "created": 2, "rejected": 5}
    found = [(row.line, row.column, row.value[:12]) for row in result.rejected_rows]
    assert found == [
        (4, "name", ""),
        (5, "first_sign_date", "2024-02-30"),
        (7, "kind", "COMPANY"),
        (7, "seats", "-1"),
        (8, "", ""),
        (9, "name", "xxxxxxxxxxxx"),
    ]
    assert all(row.reason for row in result.rejected_rows)
    assert (await by_external_id(services, other)).name == "Good"


@pytest.mark.parametrize(
    ("content", "reason", "named"),
    [
        (b"", "FILE_EMPTY", "data"),
        (b"\n\n", "FILE_EMPTY", "data"),
        (b"external_id,seats\n1,2\n", "COLUMN_MISSING", "name"),
        (b"external_id,Name\n1,2\n", "COLUMN_MISSING", "name"),
        (b"external_id,name,birthday\n1,2,3\n", "COLUMN_NOT_MAPPED", "birthday"),
        (b"external_id,name,name\n1,2,3\n", "COLUMN_TWICE", "name"),
        (b"external_id;name\n1;2\n", "COLUMN_MISSING", "external_id"),
        (b"external_id,name\nX-1,\xff\xfe\n", "ENCODING_WRONG", "utf-8"),
        (b'external_id,name\nX-1,good\nX-2,"never closed\n', "FILE_BROKEN", "line 3"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_wrong_file_is_refused_as_a_whole_naming_what_is_wrong(
    services: RunningServices, stub: Any, content: bytes, reason: str, named: str
) -> None:
    before = await everything(services)
    answer = await refused(upload(services, "ImportCustomers", content, plain_mapping(["external_id", "name"])))

    assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", reason)
    assert named in answer.message
    assert await everything(services) == before
    assert await kept(services) == 0


@pytest.mark.parametrize(
    ("mapping", "named"),
    [
        (plain_mapping(["external_id"]), "name"),
        (plain_mapping(["external_id", "name", "birthday"]), "birthday"),
        (plain_mapping(["external_id", "name"], constants={"name": "X"}), "name"),
        (plain_mapping(["external_id", "name"], constants={"kind": "COMPANY"}), "kind"),
        (
            imports_service_pb2.Mapping(
                columns={
                    **plain_mapping(["external_id", "name"]).columns,
                    "first_sign_date": imports_service_pb2.ColumnMapping(column="d", format="%d.%m"),
                }
            ),
            "first_sign_date",
        ),
        (
            imports_service_pb2.Mapping(
                columns={
                    **plain_mapping(["external_id", "name"]).columns,
                    "kind": imports_service_pb2.ColumnMapping(column="k", values={"a": "COMPANY"}),
                }
            ),
            "kind",
        ),
    ],
    ids=range(6),
)
async def test_a_mapping_that_cant_be_right_is_refused(
    services: RunningServices, stub: Any, mapping: imports_service_pb2.Mapping, named: str
) -> None:
    answer = await refused(upload(services, "ImportCustomers", b"external_id,name\n1,2\n", mapping))
    assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "MAPPING_WRONG")
    assert named in answer.fields[0]


async def test_rules_of_the_contract_hold_for_the_start_too(services: RunningServices, stub: Any) -> None:
    mapping = plain_mapping(["external_id", "name"], encoding="latin-1")
    answer = await refused(upload(services, "ImportCustomers", b"", mapping))
    assert (answer.code, answer.fields) == ("INVALID_ARGUMENT", ("start.mapping.encoding",))


@pytest.mark.parametrize(
    ("rpc", "first"),
    [
        ("UploadFile", imports_service_pb2.UploadFileRequest(data=b"x")),
        ("SyncRecords", imports_service_pb2.SyncRecordsRequest(records=imports_service_pb2.Records())),
    ],
)
async def test_an_upload_without_start_is_refused(services: RunningServices, stub: Any, rpc: str, first: Any) -> None:
    plain = await services.stub(ImportsServiceStub, "")
    metadata = (("authorization", f"Bearer {await services.sign_in('employee:admin')}"),)
    for messages in ([first], []):
        answer = await refused(getattr(plain, rpc)(iter(messages), metadata=metadata))
        assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "START_MISSING")


async def test_an_upload_without_token_is_refused(services: RunningServices, stub: Any) -> None:
    plain = await services.stub(ImportsServiceStub, "")
    answer = await refused(plain.UploadFile(iter([imports_service_pb2.UploadFileRequest(data=b"x")])))
    assert answer.reason == "TOKEN_MISSING"


@pytest.mark.parametrize(
    ("encoding", "codec"), [("", "utf-8"), ("utf-8", "utf-8-sig"), ("gb18030", "gb18030")], ids=str
)
async def test_files_come_in_the_encoding_that_the_mapping_names(
    services: RunningServices, stub: Any, encoding: str, codec: str
) -> None:
    key = fresh()
    content = f"external_id,名称\r\n{key},长风互联\r\n".encode(codec)
    mapping = imports_service_pb2.Mapping(
        columns={
            "external_id": imports_service_pb2.ColumnMapping(column="external_id"),
            "name": imports_service_pb2.ColumnMapping(column="名称"),
        },
        encoding=encoding,
    )
    assert counts(await upload(services, "ImportCustomers", content, mapping, piece=3)) == {
        "rows_read": 1,
        "created": 1,
    }
    assert (await by_external_id(services, key)).name == "长风互联"


async def test_a_file_of_several_chunks_goes_in_whole(services: RunningServices, stub: Any) -> None:
    mark = fresh()
    rows = [{"external_id": f"{mark}-{n}", "name": f"{mark} {n:04d}"} for n in range(2100)]
    rows.append({"external_id": f"{mark}-0", "name": f"{mark} last"})
    result = await upload(services, "ImportCustomers", csv_of(rows), plain_mapping(rows[0]), piece=100_000)

    assert counts(result) == {"rows_read": 2101, "created": 2100, "superseded": 1}
    [replaced] = result.rejected_rows
    assert (replaced.line, "2102" in replaced.reason) == (2, True)
    async with services.db("customers").read(unscoped="a test") as read:
        mine = customers.c.external_id.startswith(mark)
        numbers = (await read.execute(select(customers.c.number).where(mine))).scalars().all()
    assert len(set(numbers)) == 2100
    assert await kept(services) == 0


async def test_a_foreign_export_goes_in_through_a_mapping_file(services: RunningServices, stub: Any) -> None:
    start = read_mapping(DATA / "ravenstack_accounts.yaml")
    content = (DATA / "ravenstack_accounts_excerpt.csv").read_bytes()
    result = await upload(services, "ImportCustomers", content, start.mapping, source=start.source)

    assert counts(result) == {"rows_read": 12, "created": 6, "superseded": 1, "rejected": 5}
    assert (await by_external_id(services, "A-0000a4")).name == 'The "A4" Company'
    renamed = await by_external_id(services, "A-0000a1")
    assert (renamed.name, renamed.value_tier, renamed.source) == ("Company_A1 (renamed)", "growth", "ravenstack")


@pytest.mark.skipif(not (RAVENSTACK / "accounts.csv").exists(), reason=f"{RAVENSTACK}/accounts.csv is not here")
async def test_all_ravenstack_accounts_go_in_unchanged_and_come_out_by_list(
    services: RunningServices, stub: Any
) -> None:
    start = read_mapping(DATA / "ravenstack_accounts.yaml")
    content = (RAVENSTACK / "accounts.csv").read_bytes()
    result = await upload(services, "ImportCustomers", content, start.mapping, source=start.source)
    assert counts(result) == {"rows_read": 500, "created": 500}
    again = await upload(services, "ImportCustomers", content, start.mapping, source=start.source)
    assert counts(again) == {"rows_read": 500, "unchanged": 500}

    listed: dict[str, customer_pb2.Customer] = {}
    request = pb.ListCustomersRequest(page_size=500, filter=pb.CustomerFilter(name_prefix="Company_"))
    while True:
        page = await stub.ListCustomers(request)
        listed |= {customer.external_id: customer for customer in page.customers}
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    lines = content.decode().splitlines()[1:]
    assert {line.split(",")[0] for line in lines} <= listed.keys()
    sample = listed["A-2e4581"]
    assert (sample.name, sample.industry, sample.region, sample.seats) == ("Company_0", "EdTech", "US", 9)
