"""`kejing customers …` and `kejing import …`: looking at customers, and taking files of other systems in."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.failure import CommandFailed
from services.cli.options import ME, As, Json, Rejected

app = typer.Typer()
customers = typer.Typer(no_args_is_help=True)
imports = typer.Typer(no_args_is_help=True)
app.add_typer(customers, name="customers", help="Customers.")
app.add_typer(customers, name="customer", hidden=True)
app.add_typer(imports, name="import", help="Take in files of other systems.")

PIECE = 256 * 1024
IMPORT_SECONDS = 3600.0
"""How long an import may take."""


class View(StrEnum):
    MINE = "mine"
    ALL = "all"
    CHURNED = "churned"


class Sort(StrEnum):
    NAME = "name"
    NUMBER = "number"
    LAST_CONTRACT_END = "last-contract-end"
    CREATED_AT = "created-at"


@customers.command("list")
def list_customers(
    view: Annotated[View, typer.Option(help="Those that I own, all, or those whose contract has ended.")] = View.ALL,
    sort: Annotated[Sort, typer.Option()] = Sort.NAME,
    descending: Annotated[bool, typer.Option("--desc", help="The greatest first.")] = False,
    prefix: Annotated[str, typer.Option(help="Only names that begin so.")] = "",
    owner: Annotated[str, typer.Option(metavar="ID", help="Only those that this employee owns.")] = "",
    tag: Annotated[str, typer.Option(help="Only those with this tag.")] = "",
    size: Annotated[int, typer.Option("-n", min=1, max=500, help="At most this many.")] = 50,
    page: Annotated[str, typer.Option(metavar="TOKEN", help="The next_page_token of the page before.")] = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """List customers."""
    from kejing.customers.v1 import customers_service_pb2 as pb
    from kejing.customers.v1 import customers_service_pb2_grpc
    from services.cli.client import connect
    from services.cli.output import show

    asked = pb.ListCustomersRequest(
        page_size=size,
        page_token=page,
        view=pb.CustomerView.Value(f"CUSTOMER_VIEW_{view.name}"),
        sort=pb.CustomerSort.Value(f"CUSTOMER_SORT_{sort.name}"),
        descending=descending,
        name_prefix=prefix,
        owner_id=owner,
        tag=tag,
    )
    with connect(login) as kejing:
        answer = kejing.stub(customers_service_pb2_grpc.CustomersServiceStub).ListCustomers(asked)
    columns: dict[str, Any] = {"number": "number", "name": "name", "external id": "external_id", "region": "region",
               "seats": "seats", "contract end": "last_contract_end", "health": "health_status",
               "id": "id"}  # fmt: skip
    show(answer, answer.customers, columns, as_json=as_json)


@customers.command("get")
def get_customer(customer: Annotated[str, typer.Argument(metavar="ID")], login: As = ME, as_json: Json = False) -> None:
    """Show one customer."""
    from kejing.customers.v1 import customers_service_pb2, customers_service_pb2_grpc
    from services.cli.client import connect
    from services.cli.output import show_one

    with connect(login) as kejing:
        stub = kejing.stub(customers_service_pb2_grpc.CustomersServiceStub)
        answer = stub.GetCustomer(customers_service_pb2.GetCustomerRequest(customer_id=customer))
    names = ("number", "name", "short_name", "external_id", "source", "kind", "industry", "region", "size",
             "value_tier", "seats", "first_sign_date", "last_contract_end", "churned", "health_status", "created_at",
             "id")  # fmt: skip
    fields: dict[str, Any] = {name.replace("_", " "): name for name in names}
    show_one(answer, answer.customer, {**fields, "tags": _tags, "owners": _owners}, as_json=as_json)


Tag = Annotated[str, typer.Argument(metavar="TAG")]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Customers.")]


@customers.command("tag")
def tag_customers(tag: Tag, ids: Ids, login: As = ME) -> None:
    """Put a tag on customers."""
    _tag(login, tag, ids, remove=False)


@customers.command("untag")
def untag_customers(tag: Tag, ids: Ids, login: As = ME) -> None:
    """Take a tag off customers."""
    _tag(login, tag, ids, remove=True)


def _tag(login: str, tag: str, ids: list[str], *, remove: bool) -> None:
    from kejing.customers.v1 import customers_service_pb2, customers_service_pb2_grpc
    from services.cli.client import connect, new_request_id

    wanted = customers_service_pb2.TagCustomersRequest(
        request_id=new_request_id(), tag=tag, customer_ids=ids, remove=remove
    )
    with connect(login) as kejing:
        changed = kejing.stub(customers_service_pb2_grpc.CustomersServiceStub).TagCustomers(wanted).changed
    print(f"{changed} of {len(ids)} customers changed")


File = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A CSV file.")]
MappingFile = Annotated[
    Path, typer.Option("--mapping", metavar="FILE", exists=True, dir_okay=False, help="What its columns mean (YAML).")
]


@imports.command("customers")
def import_customers(
    file: File, mapping: MappingFile, rejected: Rejected = None, login: As = ME, as_json: Json = False
) -> None:
    """Take customers in: new ones are created, known ones updated where they differ."""
    from kejing.customers.v1.customers_service_pb2 import ImportCustomersRequest

    _import("ImportCustomers", ImportCustomersRequest, file, mapping, rejected, login, as_json=as_json)


@imports.command("contacts")
def import_contacts(
    file: File, mapping: MappingFile, rejected: Rejected = None, login: As = ME, as_json: Json = False
) -> None:
    """Take contacts of known customers in."""
    from kejing.customers.v1.customers_service_pb2 import ImportContactsRequest

    _import("ImportContacts", ImportContactsRequest, file, mapping, rejected, login, as_json=as_json)


@imports.command("owners")
def import_owners(
    file: File, mapping: MappingFile, rejected: Rejected = None, login: As = ME, as_json: Json = False
) -> None:
    """Say which employee looks after which customer."""
    from kejing.customers.v1.customers_service_pb2 import ImportOwnersRequest

    _import("ImportOwners", ImportOwnersRequest, file, mapping, rejected, login, as_json=as_json)


def _import(
    rpc: str, request: Any, file: Path, mapping: Path, rejected: Path | None, login: str, *, as_json: bool
) -> None:
    from kejing.customers.v1 import customers_service_pb2_grpc
    from services.cli.client import connect, new_request_id
    from services.cli.output import console, print_json
    from services.cli.sheets import show_rejected, write_rejected

    start = read_mapping(mapping)
    start.request_id = new_request_id()
    if rejected:
        write_rejected(rejected, ())  # before anything is taken in, so that a wrong path costs nothing
    with connect(login) as kejing:
        stub = kejing.stub(customers_service_pb2_grpc.CustomersServiceStub)
        answer = getattr(stub, rpc)(upload(request, start, file), timeout=IMPORT_SECONDS)
    if rejected:
        write_rejected(rejected, answer.result.rejected_rows)
    if as_json:
        print_json(answer)
        return
    result = answer.result
    words = ("created", "updated", "unchanged", "superseded", "rejected")
    counts = ", ".join(f"{getattr(result, word)} {word}" for word in words)
    console().print(f"{result.rows_read} rows read: {counts}")
    show_rejected(result.rejected_rows, rejected)


def upload(request: Any, start: Any, file: Path) -> Iterator[Any]:
    """The messages of an upload: `start`, then the file in pieces.

    Args:
        request: the rpc's request class, e.g. ImportCustomersRequest.
        start: the ImportStart.
    """
    yield request(start=start)
    with file.open("rb") as content:
        while piece := content.read(PIECE):
            yield request(data=piece)


def read_mapping(path: Path) -> Any:
    """The ImportStart that a mapping file describes, without request_id.

    The file is YAML: `source`; `columns`, by field either the column's heading or {column, format, values, default};
    `constants` by field; `ignore`, the columns that are left out; `encoding`.

    Raises:
        CommandFailed: it is no such file; names what is wrong.
    """
    import yaml

    from kejing.customers.v1 import import_pb2

    try:
        # Everything stays text: YAML would make a truth value of "no" and a number of "007".
        content = yaml.load(path.read_text("utf-8-sig"), yaml.BaseLoader)  # noqa: S506 - BaseLoader makes text only
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{path} is no YAML file: {error}") from error
    allowed = {"source", "columns", "constants", "ignore", "encoding"}
    if not isinstance(content, dict) or not content.keys() <= allowed or not content.get("source"):
        raise CommandFailed(f"{path} must hold `source` and `columns`, and may hold constants, ignore, encoding")
    try:
        columns = {
            field: import_pb2.ColumnMapping(**({"column": said} if isinstance(said, str) else said))
            for field, said in (content.get("columns") or {}).items()
        }
        mapping = import_pb2.Mapping(
            columns=columns,
            constants=content.get("constants") or {},
            ignore=content.get("ignore") or [],
            encoding=content.get("encoding") or "",
        )
        return import_pb2.ImportStart(source=content["source"], mapping=mapping)
    except (TypeError, ValueError, AttributeError) as error:
        raise CommandFailed(f"{path} is no mapping: {error}") from error


def _tags(customer: Any) -> str:
    return ", ".join(customer.tags)


def _owners(customer: Any) -> str:
    from kejing.customers.v1.customer_pb2 import OwnerRole
    from services.cli.output import cell

    def days(owner: Any) -> str:
        named = {word: cell(owner, field) for word, field in (("from", "valid_from"), ("until", "valid_to"))}
        return "".join(f" {word} {day}" for word, day in named.items() if day != "—")

    return ", ".join(
        f"{OwnerRole.Name(o.role).removeprefix('OWNER_ROLE_').lower()} {o.employee_id}{days(o)}"
        for o in customer.owners
    )
