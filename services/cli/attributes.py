"""`kejing attributes …`: what is kept of customers, and what for."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from services.cli.failure import CommandFailed
from services.cli.options import ME, As, Json, Page, Size

app = typer.Typer()
attributes = typer.Typer(no_args_is_help=True)
app.add_typer(attributes, name="attributes", help="What is kept of customers, and what for.")

Key = Annotated[str, typer.Argument(metavar="KEY", help="The attribute's key, e.g. renewal_manager.")]
Label = Annotated[str, typer.Option(help="What people read.")]
Purpose = Annotated[str, typer.Option(help="Why it is kept.")]
Options = Annotated[list[str] | None, typer.Option("--option", metavar="WORD", help="What an option may be; several.")]
Least = Annotated[str, typer.Option("--min", help="The least number or date, or the shortest text.")]
Greatest = Annotated[str, typer.Option("--max", help="The greatest number or date, or the longest text.")]
Pattern = Annotated[str, typer.Option(metavar="RE2", help="What a text must look like as a whole.")]
SECONDS = 600.0
"""So long the values of a million customers may take to go."""


class Type(StrEnum):
    TEXT = "text"
    NUMBER = "number"
    DATE = "date"
    BOOLEAN = "boolean"
    OPTION = "option"
    MOBILE = "mobile"
    PHONE = "phone"
    EMAIL = "email"
    URL = "url"
    NATIONAL_ID = "national-id"


@attributes.command("list")
def list_attributes(login: As = ME, as_json: Json = False) -> None:
    """List the custom attributes."""
    from kejing.customers.v1 import attributes_service_pb2 as pb
    from services.cli.output import show

    answer = _call(login, "ListAttributes", pb.ListAttributesRequest())
    columns: dict[str, Any] = {"key": "key", "label": "label", "type": _type, "required": "required",
               "personal": "personal", "allowed": _allowed, "version": "version", "purpose": "purpose"}  # fmt: skip
    show(answer, answer.attributes, columns, as_json=as_json)


@attributes.command("collected")
def list_collected(login: As = ME, as_json: Json = False) -> None:
    """List every field that is kept of customers and contacts, with its purpose."""
    from kejing.customers.v1 import attributes_service_pb2 as pb
    from services.cli.output import show

    answer = _call(login, "ListCollectedFields", pb.ListCollectedFieldsRequest())
    columns: dict[str, Any] = {"of": "of", "field": "key", "label": lambda row: " / ".join(row.label.values()),
               "personal": "personal", "purpose": lambda row: " / ".join(row.purpose.values())}  # fmt: skip
    show(answer, answer.fields, columns, as_json=as_json)


@attributes.command("add")
def add_attribute(
    key: Key,
    label: Label,
    purpose: Purpose,
    kind: Annotated[Type, typer.Option("--type", help="What it holds.")] = Type.TEXT,
    required: Annotated[bool, typer.Option("--required", help="A new customer must come with it.")] = False,
    personal: Annotated[bool, typer.Option("--personal", help="It is personal data.")] = False,
    option: Options = None,
    least: Least = "",
    greatest: Greatest = "",
    pattern: Pattern = "",
    login: As = ME,
) -> None:
    """Define an attribute."""
    from kejing.customers.v1 import attributes_service_pb2 as pb
    from services.cli.client import new_request_id

    wanted = pb.Attribute(
        key=key, label=label, purpose=purpose, type=pb.AttributeType.Value(f"ATTRIBUTE_TYPE_{kind.name}"),
        required=required, personal=personal, options=option or [], minimum=least, maximum=greatest, pattern=pattern,
    )  # fmt: skip
    _call(login, "CreateAttribute", pb.CreateAttributeRequest(request_id=new_request_id(), attribute=wanted))
    print(f"attribute {key} is defined")


@attributes.command("change")
def change_attribute(
    key: Key,
    label: Label = "",
    purpose: Purpose = "",
    required: Annotated[bool | None, typer.Option("--required/--optional", help="For new customers.")] = None,
    personal: Annotated[bool | None, typer.Option("--personal/--impersonal", help="Whether it is personal.")] = None,
    option: Options = None,
    least: Annotated[str | None, typer.Option("--min", help='As for add; "" for no limit.')] = None,
    greatest: Annotated[str | None, typer.Option("--max", help='As for add; "" for no limit.')] = None,
    pattern: Annotated[str | None, typer.Option(metavar="RE2", help='As for add; "" for none.')] = None,
    login: As = ME,
) -> None:
    """Change an attribute; what isn't given stays. Tells how many customers hold a value that no longer fits."""
    from kejing.customers.v1 import attributes_service_pb2 as pb
    from services.cli.client import new_request_id

    known = _call(login, "ListAttributes", pb.ListAttributesRequest()).attributes
    wanted = next((attribute for attribute in known if attribute.key == key), None)
    if wanted is None:
        raise CommandFailed(f"there is no attribute {key}")
    given = {"label": label or None, "purpose": purpose or None, "required": required, "personal": personal,
             "minimum": least, "maximum": greatest, "pattern": pattern}  # fmt: skip
    for name, value in given.items():
        if value is not None:
            setattr(wanted, name, value)
    if option:
        wanted.options[:] = option
    request = pb.UpdateAttributeRequest(request_id=new_request_id(), attribute=wanted)
    answer = _call(login, "UpdateAttribute", request)
    print(f"attribute {key} has version {answer.attribute.version}; {answer.misfits} customers' values don't fit")


@attributes.command("retire")
def retire_attribute(key: Key, login: As = ME) -> None:
    """End an attribute and delete its values, for good."""
    from kejing.customers.v1 import attributes_service_pb2 as pb
    from services.cli.client import new_request_id

    request = pb.RetireAttributeRequest(request_id=new_request_id(), key=key)
    answer = _call(login, "RetireAttribute", request, timeout=SECONDS)
    print(f"attribute {key} is ended; {answer.values} customers had a value")


@attributes.command("misfits")
def list_misfits(key: Key, size: Size = 50, page: Page = "", login: As = ME, as_json: Json = False) -> None:
    """List customers whose value doesn't fit the definition, or is missing."""
    from kejing.customers.v1 import attributes_service_pb2 as pb
    from services.cli.output import show

    answer = _call(login, "ListMisfits", pb.ListMisfitsRequest(key=key, page_size=size, page_token=page))
    columns: dict[str, Any] = {"customer": "customer_id", "why": "reason"}
    show(answer, answer.misfits, columns, as_json=as_json)


@attributes.command("rotate-keys")
def rotate_keys(
    resume: Annotated[bool, typer.Option("--resume", help="Make no new key; go on where it was cut off.")] = False,
    login: As = ME,
) -> None:
    """Make a new key for national ids and files of imports, and encrypt them anew. Run it where the home lies."""
    from deploy.local.home import Home
    from kejing.customers.v1 import attributes_service_pb2 as pb
    from services.cli.client import new_request_id

    home = Home.from_environment()
    if not home.encryption_keys.exists():
        raise CommandFailed(f"there are no keys in {home.path}; run this where the installation's home lies")
    if not resume:
        home.add_encryption_key()
    rotated = 0
    while True:
        answer = _call(login, "RotateEncryption", pb.RotateEncryptionRequest(request_id=new_request_id()))
        rotated += answer.rotated
        if not answer.left:
            break
        if not answer.rotated:
            raise CommandFailed(f"{answer.left} values stay under an older key, which was kept")
    home.forget_encryption_keys()
    print(f"{rotated} values are under the newest key; none is under an older one")


def _call(login: str, method: str, request: Any, timeout: float | None = None) -> Any:
    from kejing.customers.v1.attributes_service_pb2_grpc import AttributesServiceStub
    from services.cli.client import connect

    with connect(login) as kejing:
        return getattr(kejing.stub(AttributesServiceStub), method)(request, timeout=timeout)


def _type(row: Any) -> str:
    from kejing.customers.v1.attributes_service_pb2 import AttributeType

    return AttributeType.Name(row.type).removeprefix("ATTRIBUTE_TYPE_").lower().replace("_", "-")


def _allowed(row: Any) -> str:
    limits = f"{row.minimum} – {row.maximum}" if row.minimum or row.maximum else ""
    return ", ".join(filter(None, (*row.options, limits, row.pattern)))
