"""`kejing customers export FILE`: a list of customers as a file."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.customer_filter import (
    Descending,
    GroupOption,
    HealthOption,
    OwnerOption,
    Prefix,
    SegmentOption,
    Sort,
    SortOption,
    Tags,
    View,
    ViewOption,
    Without,
    filter_of,
)
from services.cli.customers import customers
from services.cli.failure import CommandFailed
from services.cli.options import ME, As

app = typer.Typer()

EXPORT_SECONDS = 3600.0
"""How long an export may take."""


@customers.command("export")
def export_customers(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to: a name that ends in .csv or .xlsx.")],
    fields: Annotated[
        str, typer.Option(metavar="A,B,…", help="The columns, as a mapping names fields; also number, owners, tags, …")
    ] = "",
    view: ViewOption = View.ALL,
    sort: SortOption = Sort.NAME,
    descending: Descending = False,
    prefix: Prefix = "",
    owner: OwnerOption = "",
    tags: Tags = None,
    without: Without = None,
    segment: SegmentOption = "",
    group: GroupOption = "",
    health: HealthOption = None,
    login: As = ME,
) -> None:
    """Write customers to a file, with all fields where none are named."""
    from kejing.customers.v1 import customers_service_pb2 as pb
    from kejing.customers.v1.customers_service_pb2_grpc import CustomersServiceStub
    from services.cli.client import connect, new_request_id

    formats = {".csv": pb.FILE_FORMAT_CSV, ".xlsx": pb.FILE_FORMAT_XLSX}
    if file.suffix.lower() not in formats:
        raise CommandFailed(f"{file} must end in .csv or .xlsx")
    asked = pb.ExportCustomersRequest(
        request_id=new_request_id(),
        filter=filter_of(view, prefix, owner, tags, without, segment, group, health),
        sort=pb.CustomerSort.Value(f"CUSTOMER_SORT_{sort.name}"),
        descending=descending,
        format=formats[file.suffix.lower()],
        fields=[field.strip() for field in fields.split(",") if field.strip()],
    )
    part = file.with_name(f"{file.name}.part")  # what breaks off leaves no file that looks whole
    try:
        with connect(login) as kejing, part.open("wb") as written:
            answers = kejing.stub(CustomersServiceStub).ExportCustomers(asked, timeout=EXPORT_SECONDS)
            size = sum(written.write(answer.data) for answer in answers)
        part.replace(file)
    except OSError as error:
        raise CommandFailed(f"{file} can't be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
    print(f"{size:,} bytes written to {file}")
