"""`kejing contacts …`: persons at customers, and which of them are one person."""

from typing import Annotated, Any

import typer

from services.cli.failure import CommandFailed
from services.cli.options import ME, As, Json, Page, Size

app = typer.Typer()
contacts = typer.Typer(no_args_is_help=True)
app.add_typer(contacts, name="contacts", help="Persons at customers.")
app.add_typer(contacts, name="contact", hidden=True)

Customer = Annotated[str, typer.Argument(metavar="CUSTOMER_ID")]
Contact = Annotated[str, typer.Argument(metavar="CONTACT_ID")]
Others = Annotated[list[str], typer.Argument(metavar="CONTACT_ID...")]

COLUMNS: dict[str, Any] = {"name": "name", "phone": "phone", "wechat": "wechat_id", "post": "post", "e-mail": "email",
           "external id": "external_id", "id": "id"}  # fmt: skip


@contacts.command("list")
def list_contacts(customer: Customer, size: Size = 50, page: Page = "", login: As = ME, as_json: Json = False) -> None:
    """List the contacts of a customer."""
    from kejing.customers.v1.contacts_service_pb2 import ListContactsRequest
    from services.cli.output import show

    request = ListContactsRequest(customer_id=customer, page_size=size, page_token=page)
    answer = _call(login, "ListContacts", request)
    show(answer, answer.contacts, COLUMNS, as_json=as_json)


@contacts.command("set")
def set_contact(
    contact: Contact,
    values: Annotated[list[str], typer.Argument(metavar="FIELD=VALUE...", help="E.g. post=CEO; phone= empties it.")],
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Change fields of a contact that its source leaves to us: name, phone, wechat_id, post, email."""
    from kejing.customers.v1.contacts_service_pb2 import UpdateContactRequest
    from services.cli.client import new_request_id
    from services.cli.output import show_one

    parted = [value.partition("=") for value in values]
    if wrong := [value for value, (_, equals, _) in zip(values, parted, strict=True) if not equals]:
        raise CommandFailed(f"{wrong[0]!r} must be written as FIELD=VALUE")
    request = UpdateContactRequest(
        request_id=new_request_id(), contact_id=contact, values={field: value for field, _, value in parted}
    )
    answer = _call(login, "UpdateContact", request)
    show_one(answer, answer.contact, COLUMNS, as_json=as_json)


@contacts.command("duplicates")
def list_duplicates(
    customer: Annotated[str, typer.Option(metavar="CUSTOMER_ID", help="Only of this customer.")] = "",
    size: Size = 50,
    page: Page = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """List contacts that are likely one person."""
    from kejing.customers.v1.contacts_service_pb2 import ListDuplicatesRequest
    from services.cli.output import print_json, show

    answer = _call(
        login, "ListDuplicates", ListDuplicatesRequest(customer_id=customer, page_size=size, page_token=page)
    )
    if as_json:
        print_json(answer)
        return
    rows = [contact for group in answer.groups for contact in group.contacts]
    alike = {contact.id: ", ".join(group.alike_in) for group in answer.groups for contact in group.contacts}
    columns: dict[str, Any] = {"alike in": lambda row: alike[row.id], **COLUMNS, "customer": "customer_id"}
    show(answer, rows, columns, as_json=False)


@contacts.command("merge")
def merge_contacts(into: Contact, others: Others, login: As = ME, as_json: Json = False) -> None:
    """Make contacts one: the first one named stays, and shows what it lacks from the others."""
    from kejing.customers.v1.contacts_service_pb2 import MergeContactsRequest
    from services.cli.client import new_request_id
    from services.cli.output import show_one

    request = MergeContactsRequest(request_id=new_request_id(), into_id=into, contact_ids=others)
    answer = _call(login, "MergeContacts", request)
    fields: dict[str, Any] = {"merge": "id", **{label: f"into.{field}" for label, field in COLUMNS.items()}}
    show_one(answer, answer.merge, fields, as_json=as_json)


@contacts.command("merges")
def list_merges(customer: Customer, size: Size = 50, page: Page = "", login: As = ME, as_json: Json = False) -> None:
    """List the merges of a customer's contacts, the newest first."""
    from kejing.customers.v1.contacts_service_pb2 import ListMergesRequest
    from services.cli.output import show

    answer = _call(login, "ListMerges", ListMergesRequest(customer_id=customer, page_size=size, page_token=page))
    columns: dict[str, Any] = {"merge": "id", "into": "into.name", "contact": "into.id",
               "merged": lambda row: len(row.contact_ids), "at": "merged_at", "undone": "undone_at"}  # fmt: skip
    show(answer, answer.merges, columns, as_json=as_json)


@contacts.command("undo-merge")
def undo_merge(
    merge: Annotated[str, typer.Argument(metavar="MERGE_ID")], login: As = ME, as_json: Json = False
) -> None:
    """Make merged contacts several again."""
    from kejing.customers.v1.contacts_service_pb2 import UndoMergeRequest
    from services.cli.client import new_request_id
    from services.cli.output import show

    answer = _call(login, "UndoMerge", UndoMergeRequest(request_id=new_request_id(), merge_id=merge))
    show(answer, answer.contacts, COLUMNS, as_json=as_json)


@contacts.command("keep-apart")
def keep_apart(ids: Others, login: As = ME) -> None:
    """Say that contacts are different persons, so that they are not listed as duplicates."""
    from kejing.customers.v1.contacts_service_pb2 import KeepApartRequest
    from services.cli.client import new_request_id

    _call(login, "KeepApart", KeepApartRequest(request_id=new_request_id(), contact_ids=ids))
    print(f"{len(ids)} contacts are kept apart")


def _call(login: str, rpc: str, request: Any) -> Any:
    from kejing.customers.v1.contacts_service_pb2_grpc import ContactsServiceStub
    from services.cli.client import connect

    with connect(login) as kejing:
        return getattr(kejing.stub(ContactsServiceStub), rpc)(request)
