"""`kejing customers …`: looking at customers, and at the systems that they come from."""

from functools import partial
from typing import Annotated, Any

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
from services.cli.options import ME, As, Json, Page, Size

app = typer.Typer()
customers = typer.Typer(no_args_is_help=True)
app.add_typer(customers, name="customers", help="Customers.")
app.add_typer(customers, name="customer", hidden=True)


@customers.command("list")
def list_customers(
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
    size: Size = 50,
    page: Page = "",
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
        filter=filter_of(view, prefix, owner, tags, without, segment, group, health),
        sort=pb.CustomerSort.Value(f"CUSTOMER_SORT_{sort.name}"),
        descending=descending,
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
             "value_tier", "seats", "credit_code", "parent_id", "first_sign_date", "last_contract_end", "churned",
             "health_status", "created_at", "id")  # fmt: skip
    fields: dict[str, Any] = {name.replace("_", " "): name for name in names}
    fields |= {key: partial(_attribute, key) for key in sorted(answer.customer.attributes)}
    fields |= {"known to": _links, "tags": _tags, "owners": _owners}
    show_one(answer, answer.customer, fields, as_json=as_json)


def _attribute(key: str, row: Any) -> str:
    value: str = row.attributes[key]
    return value


def _links(row: Any) -> str:
    return ", ".join(f"{link.source} as {link.external_id}" for link in row.links)


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
    from kejing.customers.v1 import tags_service_pb2, tags_service_pb2_grpc
    from services.cli.client import connect, new_request_id

    wanted = tags_service_pb2.TagCustomersRequest(request_id=new_request_id(), tag=tag, customer_ids=ids, remove=remove)
    with connect(login) as kejing:
        changed = kejing.stub(tags_service_pb2_grpc.TagsServiceStub).TagCustomers(wanted).changed
    print(f"{changed} of {len(ids)} customers changed")


@customers.command("sources")
def list_sources(login: As = ME, as_json: Json = False) -> None:
    """List the systems that customers come from, and the fields that are ours of each."""
    from kejing.customers.v1 import imports_service_pb2, imports_service_pb2_grpc
    from services.cli.client import connect
    from services.cli.output import show

    with connect(login) as kejing:
        stub = kejing.stub(imports_service_pb2_grpc.ImportsServiceStub)
        answer = stub.ListSources(imports_service_pb2.ListSourcesRequest())
    columns: dict[str, Any] = {"source": "name", "customers": "customers", "ours": lambda row: ", ".join(row.ours),
               "last import": "imported_at"}  # fmt: skip
    show(answer, answer.sources, columns, as_json=as_json)


Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.")]
Source = Annotated[str, typer.Argument(metavar="SOURCE", help="A system that customers come from.")]
Key = Annotated[str, typer.Argument(metavar="EXTERNAL_ID", help="Its key in that system.")]


@customers.command("link")
def link_customer(customer: Customer, source: Source, key: Key, login: As = ME) -> None:
    """Say that a system knows the customer by this key: its rows update the customer from then on."""
    _link(login, customer, source, key, remove=False)


@customers.command("unlink")
def unlink_customer(customer: Customer, source: Source, key: Key, login: As = ME) -> None:
    """Take that back."""
    _link(login, customer, source, key, remove=True)


def _link(login: str, customer: str, source: str, key: str, *, remove: bool) -> None:
    from kejing.customers.v1 import customers_service_pb2 as pb
    from kejing.customers.v1 import customers_service_pb2_grpc
    from kejing.customers.v1.customer_pb2 import SourceLink
    from services.cli.client import connect, new_request_id

    wanted = pb.LinkCustomerRequest(
        request_id=new_request_id(),
        customer_id=customer,
        link=SourceLink(source=source, external_id=key),
        remove=remove,
    )
    with connect(login) as kejing:
        linked = kejing.stub(customers_service_pb2_grpc.CustomersServiceStub).LinkCustomer(wanted).customer
    known = ", ".join(f"{each.source} {each.external_id}" for each in linked.links)
    print(f"{linked.number} is known as {known}")


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
