"""`kejing definitions …` and `kejing processes …`: how work with customers flows, and where each process stands."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.failure import CommandFailed
from services.cli.options import ME, As, Json

app = typer.Typer()
definitions = typer.Typer(no_args_is_help=True)
processes = typer.Typer(no_args_is_help=True)
app.add_typer(definitions, name="definitions", help="Definitions of business processes, in versions.")
app.add_typer(processes, name="processes", help="Running and ended processes, and orders to them.")

Id = Annotated[str, typer.Argument(metavar="ID", help="The process.")]
Reason = Annotated[str, typer.Option(help="Why.")]
Size = Annotated[int, typer.Option("-n", min=1, max=500, help="At most this many.")]
Page = Annotated[str, typer.Option("--page", metavar="TOKEN", help="The next_page_token of the page before.")]

DEFINITION: dict[str, Any] = {
    "key": "key", "version": "version", "state": "state", "name": "name", "theme": "theme_key",
    "stages": lambda definition: " → ".join(stage.key for stage in definition.stages), "id": "id",
}  # fmt: skip
PROCESS: dict[str, Any] = {
    "customer": "customer_label", "definition": "definition_name", "version": "definition_version", "state": "state",
    "stages": lambda process: _stages(process), "due": "stage_due_at", "started": "started_at", "ended": "ended_at",
    "owner": "owner_id", "revision": "revision", "id": "id",
}  # fmt: skip


class State(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    TERMINATED = "terminated"


@definitions.command("list")
def list_definitions(
    key: Annotated[str, typer.Option(help="Only of this key.")] = "",
    size: Size = 50,
    page: Page = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """List versions by key, newest first within a key."""
    from kejing.tasks.v1.process_definitions_service_pb2 import ListProcessDefinitionsRequest
    from services.cli.output import show

    asked = ListProcessDefinitionsRequest(key=key, page_size=size, page_token=page)
    answer = _definitions(login, "ListProcessDefinitions", asked)
    show(answer, answer.definitions, DEFINITION, as_json=as_json)


@definitions.command("create")
def create_definition(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.yaml", exists=True, dir_okay=False,
            help="key, name, theme_key, allows_skipping and stages, with the names of the contract.",
        ),
    ],
    login: As = ME,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Write a draft: the first version of a new key, or the next one of a known key."""
    import yaml
    from google.protobuf.json_format import ParseDict, ParseError

    from kejing.tasks.v1.process_definitions_service_pb2 import CreateProcessDefinitionRequest
    from services.cli.client import new_request_id

    asked = CreateProcessDefinitionRequest()
    try:
        contents = yaml.safe_load(file.read_text(encoding="utf-8"))
        if not isinstance(contents, dict):
            raise CommandFailed(f"{file}: it must hold key, name, theme_key and stages")
        ParseDict(contents, asked)
    except (yaml.YAMLError, ParseError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{file}: {error}") from error
    asked.request_id = new_request_id()
    _show_definition(_definitions(login, "CreateProcessDefinition", asked), as_json=as_json)


@definitions.command("publish")
def publish_definition(
    definition: Annotated[str, typer.Argument(metavar="ID", help="The draft.")],
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Make a draft the version that new processes run by."""
    from kejing.tasks.v1.process_definitions_service_pb2 import PublishProcessDefinitionRequest
    from services.cli.client import new_request_id

    asked = PublishProcessDefinitionRequest(request_id=new_request_id(), definition_id=definition)
    _show_definition(_definitions(login, "PublishProcessDefinition", asked), as_json=as_json)


@processes.command("list")
def list_processes(
    customer: Annotated[str, typer.Option(metavar="ID", help="Only of this customer.")] = "",
    definition: Annotated[str, typer.Option(metavar="KEY", help="Only by this definition.")] = "",
    stage: Annotated[str, typer.Option(metavar="KEY", help="Only in this stage.")] = "",
    owner: Annotated[str, typer.Option(metavar="ID", help="Only of this employee.")] = "",
    state: Annotated[list[State] | None, typer.Option(help="May be given several times.")] = None,
    size: Size = 50,
    page: Page = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """List processes, latest started first."""
    from kejing.tasks.v1 import process_pb2
    from kejing.tasks.v1.process_records_service_pb2 import ListProcessesRequest
    from services.cli.output import show

    asked = ListProcessesRequest(
        customer_id=customer,
        definition_key=definition,
        stage_key=stage,
        owner_id=owner,
        states=[process_pb2.ProcessState.Value(f"PROCESS_STATE_{each.name}") for each in state or ()],
        page_size=size,
        page_token=page,
    )
    answer = _records(login, "ListProcesses", asked)
    columns = {name: PROCESS[name] for name in ("customer", "definition", "state", "stages", "due", "started", "id")}
    show(answer, answer.processes, columns, as_json=as_json)


@processes.command("get")
def get_process(process: Id, login: As = ME, as_json: Json = False) -> None:
    """Show one process."""
    from kejing.tasks.v1.process_records_service_pb2 import GetProcessRequest

    _show_process(_records(login, "GetProcess", GetProcessRequest(process_id=process)), as_json=as_json)


@processes.command("history")
def history(process: Id, login: As = ME, as_json: Json = False) -> None:
    """Show what was done to a process, first to last."""
    from kejing.tasks.v1.process_records_service_pb2 import ListTransitionsRequest
    from services.cli.output import show

    answer = _records(login, "ListTransitions", ListTransitionsRequest(process_id=process))
    columns: dict[str, Any] = {"revision": "revision", "action": "action", "from": "from_stage_key",
               "to": "to_stage_key", "reason": "reason", "by": "actor", "at": "occurred_at"}  # fmt: skip
    show(answer, answer.transitions, columns, as_json=as_json)


@processes.command("start")
def start_process(
    definition: Annotated[str, typer.Argument(metavar="DEFINITION", help="The key of a published definition.")],
    customer: Annotated[str, typer.Option(metavar="ID", help="The customer.")],
    owner: Annotated[str, typer.Option(metavar="ID", help="Who answers for it; I, without.")] = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Start a process of a customer."""
    _order(login, "StartProcess", as_json=as_json, customer_id=customer, definition_key=definition, owner_id=owner)


@processes.command("advance")
def advance(
    process: Id,
    to: Annotated[str, typer.Option(metavar="STAGE", help="The stage to go to; the next one without.")] = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Leave the present stage forward; from the last one, the process is completed."""
    _order(login, "AdvanceStage", as_json=as_json, process_id=process, to_stage_key=to)


@processes.command("return")
def return_to_stage(
    process: Id,
    to: Annotated[str, typer.Option(metavar="STAGE", help="The earlier stage.")],
    reason: Reason,
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Go back to an earlier stage."""
    _order(login, "ReturnToStage", as_json=as_json, process_id=process, to_stage_key=to, reason=reason)


@processes.command("pause")
def pause(process: Id, reason: Reason, login: As = ME, as_json: Json = False) -> None:
    """Hold a process; its stage's clock stands still."""
    _order(login, "PauseProcess", as_json=as_json, process_id=process, reason=reason)


@processes.command("resume")
def resume(process: Id, login: As = ME, as_json: Json = False) -> None:
    """Take a held process up again."""
    _order(login, "ResumeProcess", as_json=as_json, process_id=process)


@processes.command("terminate")
def terminate(process: Id, reason: Reason, login: As = ME, as_json: Json = False) -> None:
    """Give a process up; its open tasks are cancelled."""
    _order(login, "TerminateProcess", as_json=as_json, process_id=process, reason=reason)


def _order(login: str, method: str, *, as_json: bool, **fields: str) -> None:
    """Gives an order to a process and shows where it stands then."""
    from kejing.processes.v1 import processes_service_pb2, processes_service_pb2_grpc
    from services.cli.client import connect, new_request_id

    asked = getattr(processes_service_pb2, f"{method}Request")(request_id=new_request_id(), **fields)
    with connect(login) as kejing:
        answer = getattr(kejing.stub(processes_service_pb2_grpc.ProcessesServiceStub), method)(asked)
    _show_process(answer, as_json=as_json)


def _definitions(login: str, method: str, request: Any) -> Any:
    from kejing.tasks.v1.process_definitions_service_pb2_grpc import ProcessDefinitionsServiceStub
    from services.cli.client import connect

    with connect(login) as kejing:
        return getattr(kejing.stub(ProcessDefinitionsServiceStub), method)(request)


def _records(login: str, method: str, request: Any) -> Any:
    from kejing.tasks.v1.process_records_service_pb2_grpc import ProcessRecordsServiceStub
    from services.cli.client import connect

    with connect(login) as kejing:
        return getattr(kejing.stub(ProcessRecordsServiceStub), method)(request)


def _show_definition(answer: Any, *, as_json: bool) -> None:
    from services.cli.output import show_one

    show_one(answer, answer.definition, DEFINITION, as_json=as_json)


def _show_process(answer: Any, *, as_json: bool) -> None:
    from services.cli.output import show_one

    show_one(answer, answer.process, PROCESS, as_json=as_json)


def _stages(process: Any) -> str:
    """kickoff ✓ → [setup] → handover"""
    from kejing.tasks.v1 import process_pb2

    signs = {
        process_pb2.STAGE_PROGRESS_DONE: "{} ✓",
        process_pb2.STAGE_PROGRESS_CURRENT: "[{}]",
        process_pb2.STAGE_PROGRESS_SKIPPED: "({})",
    }
    return " → ".join(signs.get(stage.progress, "{}").format(stage.key) for stage in process.stages)
