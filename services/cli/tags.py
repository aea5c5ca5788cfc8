"""`kejing tags …`: how people sort customers. Tags are put on and taken off by `kejing customers tag` and `untag`."""

from typing import Annotated, Any

import typer

from services.cli.options import ME, As, Json, Page, Size

app = typer.Typer()
tags = typer.Typer(no_args_is_help=True)
app.add_typer(tags, name="tags", help="How people sort customers.")

Tag = Annotated[str, typer.Argument(metavar="TAG")]


@tags.command("list")
def list_tags(
    customer: Annotated[str, typer.Option(metavar="CUSTOMER_ID", help="The tags of this customer.")] = "",
    prefix: Annotated[str, typer.Option(help="Only tags that begin so.")] = "",
    category: Annotated[str, typer.Option(help="Only of this category.")] = "",
    size: Size = 50,
    page: Page = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """List tags with how many customers carry them, or a customer's tags with who gave them."""
    from kejing.customers.v1 import tags_service_pb2 as pb
    from services.cli.output import show

    said: dict[str, Any] = {"tag": "tag", "category": "category", "weight": "weight"}
    if customer:
        answer = _call(login, "ListCustomerTags", pb.ListCustomerTagsRequest(customer_id=customer))
        show(answer, answer.tags, {**said, "given by": "given_by", "given at": "given_at"}, as_json=as_json)
        return
    request = pb.ListTagsRequest(prefix=prefix, category=category, page_size=size, page_token=page)
    answer = _call(login, "ListTags", request)
    show(answer, answer.tags, {**said, "customers": "customers", "meaning": "meaning"}, as_json=as_json)


@tags.command("describe")
def describe_tag(
    tag: Tag,
    category: Annotated[str, typer.Option()] = "",
    weight: Annotated[int, typer.Option(min=-100, max=100)] = 0,
    meaning: Annotated[str, typer.Option()] = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Say what a tag means, in place of what was said before; without options that is forgotten."""
    from kejing.customers.v1.tags_service_pb2 import DescribeTagRequest
    from services.cli.client import new_request_id
    from services.cli.output import show_one

    request = DescribeTagRequest(
        request_id=new_request_id(), tag=tag, category=category, weight=weight, meaning=meaning
    )
    answer = _call(login, "DescribeTag", request)
    fields: dict[str, Any] = {"tag": "tag", "category": "category", "weight": "weight", "meaning": "meaning"}
    show_one(answer, answer.tag, fields, as_json=as_json)


@tags.command("related")
def list_related(tag: Tag, login: As = ME, as_json: Json = False) -> None:
    """List tags that customers carry beside a tag, the most frequent first."""
    from kejing.customers.v1.tags_service_pb2 import ListRelatedTagsRequest
    from services.cli.output import show

    answer = _call(login, "ListRelatedTags", ListRelatedTagsRequest(tag=tag))
    show(answer, answer.tags, {"tag": "tag", "customers": "customers"}, as_json=as_json)


def _call(login: str, rpc: str, request: Any) -> Any:
    from kejing.customers.v1.tags_service_pb2_grpc import TagsServiceStub
    from services.cli.client import connect

    with connect(login) as kejing:
        return getattr(kejing.stub(TagsServiceStub), rpc)(request)
