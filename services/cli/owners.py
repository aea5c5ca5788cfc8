"""`kejing owners …`: who of us looks after which customer."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from services.cli.failure import CommandFailed
from services.cli.options import ME, As, Json, Page, Size

app = typer.Typer()
owners = typer.Typer(no_args_is_help=True)
app.add_typer(owners, name="owners", help="Who looks after which customer.")
app.add_typer(owners, name="owner", hidden=True)

Customer = Annotated[str, typer.Argument(metavar="CUSTOMER_ID")]
Day = Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="Business date, included.")]


class Role(StrEnum):
    CSM = "csm"
    ANALYST = "analyst"
    SALES_MANAGER = "sales-manager"


@owners.command("list")
def list_owners(customer: Customer, login: As = ME, as_json: Json = False) -> None:
    """List the owners of a customer, now and later."""
    from kejing.customers.v1.owners_service_pb2 import ListOwnersRequest
    from kejing.customers.v1.owners_service_pb2_grpc import OwnersServiceStub
    from services.cli.client import connect
    from services.cli.organisation import employee
    from services.cli.output import show

    with connect(login) as kejing:
        answer = kejing.stub(OwnersServiceStub).ListOwners(ListOwnersRequest(customer_id=customer))
        names = {owner.employee_id: employee(kejing, owner.employee_id).display_name for owner in answer.owners}
    columns: dict[str, Any] = {"role": "role", "employee": lambda row: names[row.employee_id], "from": "valid_from",
               "until": "valid_to", "id": "employee_id"}  # fmt: skip
    show(answer, answer.owners, columns, as_json=as_json)


@owners.command("change")
def change_owners(
    customers: Annotated[list[str], typer.Argument(metavar="CUSTOMER_ID...")],
    role: Annotated[Role, typer.Option()],
    to: Annotated[str, typer.Option("--to", metavar="LOGIN", help="Who has the role then; a login or an id.")] = "",
    nobody: Annotated[bool, typer.Option("--nobody", help="Nobody has the role any more.")] = False,
    valid_from: Day = "",
    valid_to: Day = "",
    login: As = ME,
) -> None:
    """Give a role at customers to an employee, or to nobody. Who had it before has it no more."""
    from kejing.customers.v1 import customer_pb2
    from kejing.customers.v1.owners_service_pb2 import ChangeOwnersRequest
    from kejing.customers.v1.owners_service_pb2_grpc import OwnersServiceStub
    from services.cli.client import connect, new_request_id
    from services.cli.organisation import employee

    if bool(to) == nobody:
        raise CommandFailed("say either --to LOGIN or --nobody")
    with connect(login) as kejing:
        owner = customer_pb2.Owner(
            role=customer_pb2.OwnerRole.Value(f"OWNER_ROLE_{role.name}"),
            employee_id=employee(kejing, to).id if to else "",
            valid_from=_day("--valid-from", valid_from),
            valid_to=_day("--valid-to", valid_to),
        )
        request = ChangeOwnersRequest(request_id=new_request_id(), customer_ids=customers, owner=owner)
        changed = kejing.stub(OwnersServiceStub).ChangeOwners(request).changed
    print(f"{changed} of {len(customers)} customers changed")


@owners.command("history")
def list_history(customer: Customer, size: Size = 50, page: Page = "", login: As = ME, as_json: Json = False) -> None:
    """List who owned a customer, in which role and when, the newest change first."""
    from kejing.customers.v1.owners_service_pb2 import ListOwnerHistoryRequest
    from kejing.customers.v1.owners_service_pb2_grpc import OwnersServiceStub
    from services.cli.client import connect
    from services.cli.output import show

    request = ListOwnerHistoryRequest(customer_id=customer, page_size=size, page_token=page)
    with connect(login) as kejing:
        answer = kejing.stub(OwnersServiceStub).ListOwnerHistory(request)
    columns: dict[str, Any] = {"at": "changed_at", "role": "role", "before": "before.employee_id",
               "after": "after.employee_id", "by": "actor"}  # fmt: skip
    show(answer, answer.changes, columns, as_json=as_json)


def _day(option: str, text: str) -> Any:
    """The google.type.Date of an option; None where it isn't given. Raises CommandFailed for another form."""
    from datetime import date

    from google.type.date_pb2 import Date

    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise CommandFailed(f"{option} {text!r} must be a day such as 2026-11-30") from error
    return Date(year=day.year, month=day.month, day=day.day)
