"""`kejing customers reveal, set, personal-data, erase`: one customer's fields, and the persons' rights behind them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.customers import customers
from services.cli.failure import CommandFailed
from services.cli.options import ME, As, Json

app = typer.Typer()

Customer = Annotated[str, typer.Argument(metavar="ID", help="The customer.")]


@customers.command("set")
def set_fields(
    customer: Customer,
    values: Annotated[list[str], typer.Argument(metavar="FIELD=VALUE...", help="New values; FIELD= empties one.")],
    version: Annotated[int, typer.Option(help="Only if the customer has this version.")] = 0,
    login: As = ME,
) -> None:
    """Change fields that the customer's source leaves to us."""
    from kejing.customers.v1 import customers_service_pb2, customers_service_pb2_grpc
    from services.cli.client import connect, new_request_id

    pairs = dict(value.partition("=")[::2] for value in values if "=" in value)
    if len(pairs) < len(values):
        raise CommandFailed("write each change as FIELD=VALUE, a field once")
    request = customers_service_pb2.UpdateCustomerRequest(
        request_id=new_request_id(), customer_id=customer, values=pairs, version=version
    )
    with connect(login) as kejing:
        stub = kejing.stub(customers_service_pb2_grpc.CustomersServiceStub)
        print(f"customer {customer} has version {stub.UpdateCustomer(request).customer.version}")


@customers.command("reveal")
def reveal(
    customer: Customer,
    key: Annotated[str, typer.Argument(metavar="KEY", help="An attribute that holds a national id.")],
    login: As = ME,
) -> None:
    """Show a national id in clear. The audit keeps that you saw it."""
    from kejing.customers.v1 import attributes_service_pb2, attributes_service_pb2_grpc
    from services.cli.client import connect, new_request_id

    request = attributes_service_pb2.RevealAttributeRequest(request_id=new_request_id(), customer_id=customer, key=key)
    with connect(login) as kejing:
        print(kejing.stub(attributes_service_pb2_grpc.AttributesServiceStub).RevealAttribute(request).value)


@customers.command("personal-data")
def personal_data(
    customer: Customer,
    file: Annotated[Path, typer.Option("--to", metavar="FILE", help="Where to write it; closed to other users.")],
    login: As = ME,
) -> None:
    """Write all personal data of a customer, of all services, into a JSON file."""
    from deploy.local.home import write_private
    from kejing.customers.v1 import privacy_service_pb2, privacy_service_pb2_grpc
    from services.cli.client import connect, new_request_id

    request = privacy_service_pb2.ExportPersonalDataRequest(request_id=new_request_id(), customer_id=customer)
    with connect(login) as kejing:
        parts = kejing.stub(privacy_service_pb2_grpc.PrivacyServiceStub).ExportPersonalData(request, timeout=300)
        document = b"".join(part.data for part in parts)
    write_private(file, document)
    print(f"{len(document):,} bytes written to {file}")


@customers.command("erase")
def erase(
    customer: Customer,
    ground: Annotated[str, typer.Option(help="On what ground, e.g. the number of the request; nothing personal.")],
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Erase all personal data of a customer in every service, for good."""
    from kejing.customers.v1 import privacy_service_pb2, privacy_service_pb2_grpc
    from services.cli.client import connect, new_request_id

    if not yes:
        typer.confirm(f"Erase all personal data of customer {customer}, for good?", abort=True)
    request = privacy_service_pb2.ErasePersonalDataRequest(
        request_id=new_request_id(), customer_id=customer, ground=ground
    )
    with connect(login) as kejing:
        stub = kejing.stub(privacy_service_pb2_grpc.PrivacyServiceStub)
        answer = stub.ErasePersonalData(request)
    _show(answer, as_json=as_json)


@customers.command("erasure")
def show_erasure(
    erasure: Annotated[str, typer.Argument(metavar="ERASURE", help="The erasure, as `erase` named it.")],
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Show which services have erased what they held, each with the record in its audit that proves it."""
    from kejing.customers.v1 import privacy_service_pb2, privacy_service_pb2_grpc
    from services.cli.client import connect

    with connect(login) as kejing:
        stub = kejing.stub(privacy_service_pb2_grpc.PrivacyServiceStub)
        answer = stub.GetErasure(privacy_service_pb2.GetErasureRequest(erasure_id=erasure))
    _show(answer, as_json=as_json)


def _show(answer: Any, *, as_json: bool) -> None:
    from services.cli.output import show_one

    fields: dict[str, Any] = {
        "erasure": "id", "customer": "customer_id", "ground": "ground", "requested by": "requested_by",
        "requested at": "requested_at",
        "erased in": lambda row: ", ".join(f"{name} (record {record})" for name, record in row.confirmed_by.items()),
        "waiting for": lambda row: ", ".join(row.waiting_for),
    }  # fmt: skip
    show_one(answer, answer.erasure, fields, as_json=as_json)
