"""`kejing segments …`: customers for whom a condition holds."""

from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.options import ME, As, Json, Page, Size

app = typer.Typer()
segments = typer.Typer(no_args_is_help=True)
app.add_typer(segments, name="segments", help="Segments: customers for whom a condition holds.")

Id = Annotated[str, typer.Argument(metavar="ID", help="The segment's id, as `kejing segments list` shows it.")]
If = Annotated[
    list[str] | None,
    typer.Option("--if", metavar="COMPARISON", help="What must hold, e.g. 'seats >= 50'. Several: all of them."),
]
File = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A YAML file with the condition: a comparison, all:, any: or not:.",
                 exists=True, dir_okay=False),
]  # fmt: skip
Description = Annotated[str, typer.Option(help="What it is for.")]


@segments.command("list")
def list_segments(
    size: Size = 50,
    page: Page = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """List segments, with how many of my customers are in each."""
    from kejing.customers.v1 import segments_service_pb2 as pb
    from services.cli.conditions import condition_text
    from services.cli.output import show

    with _service(login) as stub:
        answer = stub.ListSegments(pb.ListSegmentsRequest(page_size=size, page_token=page))
    columns: dict[str, Any] = {"name": "name", "customers": "customers", "ready": "ready",
                               "if": lambda row: condition_text(row.condition), "id": "id"}  # fmt: skip
    show(answer, answer.segments, columns, as_json=as_json)


@segments.command("create")
def create_segment(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    comparisons: If = None,
    file: File = None,
    description: Description = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Define a segment."""
    from kejing.customers.v1 import segments_service_pb2 as pb
    from services.cli.client import new_request_id

    request = pb.CreateSegmentRequest(
        request_id=new_request_id(), name=name, description=description, condition=_condition(comparisons, file)
    )
    with _service(login) as stub:
        _show(stub.CreateSegment(request), as_json=as_json)


@segments.command("update")
def update_segment(
    segment: Id,
    comparisons: If = None,
    file: File = None,
    name: Annotated[str, typer.Option(help="A new name.")] = "",
    description: Annotated[str | None, typer.Option(help="What it is for now.")] = None,
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Change a segment; what isn't given stays."""
    from kejing.customers.v1 import segments_service_pb2 as pb
    from services.cli.client import new_request_id

    with _service(login) as stub:
        known = stub.GetSegment(pb.GetSegmentRequest(segment_id=segment)).segment
        request = pb.UpdateSegmentRequest(
            request_id=new_request_id(),
            segment_id=segment,
            name=name or known.name,
            description=known.description if description is None else description,
            condition=_condition(comparisons, file) if comparisons or file else known.condition,
            version=known.version,
        )
        _show(stub.UpdateSegment(request), as_json=as_json)


@segments.command("delete")
def delete_segment(segment: Id, login: As = ME) -> None:
    """End a segment; its customers stay."""
    from kejing.customers.v1 import segments_service_pb2 as pb
    from services.cli.client import new_request_id

    with _service(login) as stub:
        stub.DeleteSegment(pb.DeleteSegmentRequest(request_id=new_request_id(), segment_id=segment))


@segments.command("explain")
def explain_segment(
    segment: Id,
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.")],
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Say why a customer is in a segment, or isn't."""
    from kejing.customers.v1 import segments_service_pb2 as pb
    from services.cli.conditions import text_of
    from services.cli.output import show

    with _service(login) as stub:
        answer = stub.ExplainSegment(pb.ExplainSegmentRequest(segment_id=segment, customer_id=customer))
    columns: dict[str, Any] = {
        "comparison": lambda row: text_of(row.comparison),
        "value": lambda row: row.value or "not known",
        "holds": lambda row: _answer(row),
        "decides": lambda row: "yes" if row.decisive else "",
    }
    if not as_json:
        print(f"in the segment: {_answer(answer)}")
    show(answer, answer.reasons, columns, as_json=as_json)


@segments.command("preview")
def preview(comparisons: If = None, file: File = None, login: As = ME, as_json: Json = False) -> None:
    """Count my customers for whom a condition holds, before anything is saved."""
    from kejing.customers.v1 import segments_service_pb2 as pb
    from services.cli.output import show_one

    with _service(login) as stub:
        answer = stub.PreviewCondition(pb.PreviewConditionRequest(condition=_condition(comparisons, file)))
    if as_json:
        show_one(answer, answer, {}, as_json=True)
        return
    about, more = "about " if answer.estimated else "", "more than " if answer.more and not answer.estimated else ""
    print(f"{about}{more}{answer.customers} customers")


@segments.command("fields")
def list_fields(login: As = ME, as_json: Json = False) -> None:
    """List what conditions may ask of a customer, and how."""
    from kejing.common.v1 import condition_pb2
    from kejing.customers.v1 import segments_service_pb2 as pb
    from services.cli.conditions import SIGNS
    from services.cli.output import show

    with _service(login) as stub:
        answer = stub.ListConditionFields(pb.ListConditionFieldsRequest())
    columns: dict[str, Any] = {
        "field": "key",
        "label": "label",
        "type": lambda row: condition_pb2.FieldType.Name(row.type).removeprefix("FIELD_TYPE_").lower(),
        "asked by": lambda row: ", ".join(SIGNS[operator] for operator in row.operators),
        "may be": lambda row: ", ".join(row.options),
    }
    show(answer, answer.fields, columns, as_json=as_json)


def _answer(row: Any) -> str:
    return ("yes" if row.holds else "no") if row.HasField("holds") else "not known"


def _condition(comparisons: list[str] | None, file: Path | None) -> Any:
    from kejing.common.v1.condition_pb2 import Condition, Conditions
    from services.cli.conditions import condition_of
    from services.cli.failure import CommandFailed

    if bool(comparisons) == bool(file):
        raise CommandFailed("give the condition by --if, or by --file")
    if file:
        import yaml

        try:
            return condition_of(yaml.safe_load(file.read_text(encoding="utf-8")), file.name)
        except yaml.YAMLError as error:
            raise CommandFailed(f"{file} is no YAML: {error}") from None
    parts = [condition_of(written, "--if") for written in comparisons or ()]
    return parts[0] if len(parts) == 1 else Condition(all=Conditions(conditions=parts))


def _service(login: str) -> Any:
    """A stub, to be used in a with."""
    from contextlib import contextmanager

    from kejing.customers.v1 import segments_service_pb2_grpc
    from services.cli.client import connect

    @contextmanager
    def opened() -> Any:
        with connect(login) as kejing:
            yield kejing.stub(segments_service_pb2_grpc.SegmentsServiceStub)

    return opened()


def _show(answer: Any, *, as_json: bool) -> None:
    from services.cli.conditions import condition_text
    from services.cli.output import show_one

    fields: dict[str, Any] = {"name": "name", "description": "description",
                              "if": lambda row: condition_text(row.condition), "ready": "ready", "version": "version",
                              "id": "id"}  # fmt: skip
    show_one(answer, answer.segment, fields, as_json=as_json)
