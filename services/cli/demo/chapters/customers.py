"""Customers come in from files of another system."""

import tempfile
from pathlib import Path
from typing import Any

from kejing.customers.v1 import customers_service_pb2 as pb
from kejing.customers.v1 import customers_service_pb2_grpc
from kejing.customers.v1 import imports_service_pb2 as imports
from kejing.customers.v1.imports_service_pb2_grpc import ImportsServiceStub
from services.cli.demo.data import files
from services.cli.demo.stage import Stage
from services.cli.import_progress import messages
from services.cli.mapping_file import read_mapping

IMPORT_SECONDS = 120.0


def play(stage: Stage) -> None:
    teller = stage.teller
    teller.chapter("Customers 客户: three files of another system come in")
    service = stage.stub(customers_service_pb2_grpc.CustomersServiceStub)
    with tempfile.TemporaryDirectory(prefix="kejing-demo-") as folder:
        exports = files.write(Path(folder), stage.customers, stage.orders)

        teller.step("customers.csv is in GB18030, with Chinese headings. A mapping file (YAML) says what they mean:")
        teller.note("\n".join(exports["customers"].mapping.read_text("utf-8").splitlines()[1:]))
        brought = _bring(stage, imports.IMPORT_KIND_CUSTOMERS, exports["customers"])
        _tell(stage, brought)
        teller.happened(
            f"workflow import/{brought.id} took it in step by step; killed at any row, it would have gone on there"
        )
        if brought.rejected != 2:
            raise teller.failed(f"2 rows should have been rejected, {brought.rejected} were")
        teller.step("Two rows are wrong. They hold nothing back, and the report says where and why:")
        asked = imports.ListRejectedRowsRequest(import_id=brought.id)
        for row in stage.stub(ImportsServiceStub).ListRejectedRows(asked).rows:
            teller.refused(f"line {row.line}, {row.column} {row.value!r}: {row.reason}")
        teller.command(
            "the same rows as a file, to be mended and fed again",
            f"kejing imports rejected {brought.id} --out rejected.csv",
        )

        teller.step("contacts.csv 联系人 and owners.csv 跟进人: up to three owners a customer, one a role.")
        _tell(stage, _bring(stage, imports.IMPORT_KIND_CONTACTS, exports["contacts"]))

        def owners() -> Any:
            # Employees reach the customers service by events: the file goes in again until it knows them.
            sent = _bring(stage, imports.IMPORT_KIND_OWNERS, exports["owners"])
            return sent if not sent.rejected else None

        _tell(stage, teller.until("customers knows all employees", owners))

    request = pb.ListCustomersRequest(page_size=500, filter=pb.CustomerFilter(view=pb.CUSTOMER_VIEW_ALL))
    listed = list(service.ListCustomers(request).customers)
    request.filter.view = pb.CUSTOMER_VIEW_CHURNED
    listed += service.ListCustomers(request).customers
    stage.customer_ids = {customer.external_id: customer.id for customer in listed}
    mine = stage.stub(customers_service_pb2_grpc.CustomersServiceStub, "csm.li").ListCustomers(
        pb.ListCustomersRequest(page_size=500, filter=pb.CustomerFilter(view=pb.CUSTOMER_VIEW_MINE))
    )
    teller.step("csm.li asks for her own customers (我的客户):")
    teller.table(
        ("number", "name", "region", "seats"),
        [(c.number, c.name, c.region, c.seats) for c in mine.customers[:4]],
        right=["seats"],
    )
    teller.happened(f"{len(mine.customers)} of {len(listed)} customers are hers")


def _bring(stage: Stage, kind: imports.ImportKind.ValueType, export: files.Export) -> imports.Import:
    """The import of a file, when it has ended."""
    start = read_mapping(export.mapping)
    start.request_id, start.kind, start.file_name = stage.request_id(), kind, export.file.name
    service = stage.stub(ImportsServiceStub)
    brought: imports.Import = getattr(service.UploadFile(messages(start, export.file)), "import")
    for told in service.WatchImport(imports.WatchImportRequest(import_id=brought.id), timeout=IMPORT_SECONDS):
        brought = getattr(told, "import")
    if brought.state != imports.IMPORT_STATE_DONE:
        raise stage.teller.failed(f"import {brought.id} is {imports.ImportState.Name(brought.state)}")
    return brought


def _tell(stage: Stage, brought: imports.Import) -> None:
    counts = {word: getattr(brought, word) for word in ("created", "updated", "unchanged", "rejected")}
    stage.teller.happened(
        f"{brought.rows_read} rows read: " + ", ".join(f"{n} {word}" for word, n in counts.items() if n)
    )
