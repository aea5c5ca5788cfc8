"""Customers come in from files of another system."""

import tempfile
from pathlib import Path
from typing import Any

from kejing.customers.v1 import customers_service_pb2 as pb
from kejing.customers.v1 import customers_service_pb2_grpc
from services.cli.customers import read_mapping, upload
from services.cli.demo.data import files
from services.cli.demo.stage import Stage


def play(stage: Stage) -> None:
    teller = stage.teller
    teller.chapter("Customers 客户: three files of another system come in")
    service = stage.stub(customers_service_pb2_grpc.CustomersServiceStub)
    with tempfile.TemporaryDirectory(prefix="kejing-demo-") as folder:
        exports = files.write(Path(folder), stage.customers, stage.orders)

        teller.step("customers.csv is in GB18030, with Chinese headings. A mapping file (YAML) says what they mean:")
        teller.note("\n".join(exports["customers"].mapping.read_text("utf-8").splitlines()[1:]))
        result = _send(stage, service.ImportCustomers, pb.ImportCustomersRequest, exports["customers"])
        _tell(stage, result)
        if result.rejected != 2:
            raise teller.failed(f"2 rows should have been rejected, {result.rejected} were")
        teller.step("Two rows are wrong. They hold nothing back, and the report says where and why:")
        for row in result.rejected_rows:
            teller.refused(f"line {row.line}, {row.column} {row.value!r}: {row.reason}")

        teller.step("contacts.csv 联系人 and owners.csv 跟进人: up to three owners a customer, one a role.")
        _tell(stage, _send(stage, service.ImportContacts, pb.ImportContactsRequest, exports["contacts"]))

        def owners() -> Any:
            # Employees reach the customers service by events: the file goes in again until it knows them.
            sent = _send(stage, service.ImportOwners, pb.ImportOwnersRequest, exports["owners"])
            return sent if not sent.rejected else None

        _tell(stage, teller.until("customers knows all employees", owners))

    request = pb.ListCustomersRequest(page_size=500, view=pb.CUSTOMER_VIEW_ALL)
    listed = list(service.ListCustomers(request).customers)
    request.view = pb.CUSTOMER_VIEW_CHURNED
    listed += service.ListCustomers(request).customers
    stage.customer_ids = {customer.external_id: customer.id for customer in listed}
    mine = stage.stub(customers_service_pb2_grpc.CustomersServiceStub, "csm.li").ListCustomers(
        pb.ListCustomersRequest(page_size=500, view=pb.CUSTOMER_VIEW_MINE)
    )
    teller.step("csm.li asks for her own customers (我的客户):")
    teller.table(
        ("number", "name", "region", "seats"),
        [(c.number, c.name, c.region, c.seats) for c in mine.customers[:4]],
        right=["seats"],
    )
    teller.happened(f"{len(mine.customers)} of {len(listed)} customers are hers")


def _send(stage: Stage, call: Any, request: Any, export: files.Export) -> Any:
    start = read_mapping(export.mapping)
    start.request_id = stage.request_id()
    return call(upload(request, start, export.file)).result


def _tell(stage: Stage, result: Any) -> None:
    counts = {word: getattr(result, word) for word in ("created", "updated", "unchanged", "rejected")}
    stage.teller.happened(
        f"{result.rows_read} rows read: " + ", ".join(f"{n} {word}" for word, n in counts.items() if n)
    )
