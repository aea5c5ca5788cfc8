"""`kejing import …` takes files of other systems in; `kejing imports …` looks after imports on their way."""

from pathlib import Path
from typing import Annotated, Any

import typer

from services.cli.failure import CommandFailed
from services.cli.options import ME, As, Json, Page, Size

app = typer.Typer()
taking = typer.Typer(no_args_is_help=True)
imports = typer.Typer(no_args_is_help=True)
app.add_typer(taking, name="import", help="Take in files of other systems.")
app.add_typer(imports, name="imports", help="Imports on their way, and ended ones.")

SHOWN = 5

File = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A CSV or XLSX file.")]
MappingFile = Annotated[
    Path, typer.Option("--mapping", metavar="FILE", exists=True, dir_okay=False, help="What its columns mean (YAML).")
]
RejectedFile = Annotated[
    Path | None,
    typer.Option("--rejected", metavar="FILE", help="Write the rows that were not taken there, to be mended and fed "
                                                    "again (CSV)."),
]  # fmt: skip
Detach = Annotated[bool, typer.Option("--detach", help="Return when the file has arrived; it goes in by itself.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The import.")]


@taking.command("customers")
def import_customers(
    file: File, mapping: MappingFile, rejected: RejectedFile = None, detach: Detach = False, login: As = ME,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Take customers in: new ones are created, known ones updated where they differ."""
    _import("CUSTOMERS", file, mapping, rejected, login, detach=detach, as_json=as_json)


@taking.command("contacts")
def import_contacts(
    file: File, mapping: MappingFile, rejected: RejectedFile = None, detach: Detach = False, login: As = ME,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Take contacts of known customers in."""
    _import("CONTACTS", file, mapping, rejected, login, detach=detach, as_json=as_json)


@taking.command("owners")
def import_owners(
    file: File, mapping: MappingFile, rejected: RejectedFile = None, detach: Detach = False, login: As = ME,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Say which employee looks after which customer."""
    _import("OWNERS", file, mapping, rejected, login, detach=detach, as_json=as_json)


def _import(
    kind: str, file: Path, mapping: Path, rejected: Path | None, login: str, *, detach: bool, as_json: bool
) -> None:
    from kejing.customers.v1.imports_service_pb2 import GetImportResponse, ImportKind
    from services.cli.client import connect
    from services.cli.import_progress import follow, send
    from services.cli.mapping_file import read_mapping
    from services.cli.output import print_json

    if detach and rejected:
        raise CommandFailed("which rows are rejected is known at the end; `kejing imports rejected ID --out FILE` then")
    start = read_mapping(mapping)
    start.kind = ImportKind.Value(f"IMPORT_KIND_{kind}")
    if rejected:
        _write(rejected, ())  # before anything is taken in, so that a wrong path costs nothing
    with connect(login) as kejing:
        brought = send(kejing, start, file)
    if not detach:
        brought = follow(login, brought)
        if rejected:
            _download(login, brought.id, rejected)
    if as_json:
        print_json(GetImportResponse(**{"import": brought}))
        _complain(brought)
    elif detach:
        print(f"import {brought.id} has arrived and goes in; `kejing imports watch {brought.id}` shows it")
    else:
        _tell_end(login, brought, rejected)


@imports.command("list")
def list_imports(
    running: Annotated[bool, typer.Option("--running", help="Only those that have not ended.")] = False,
    size: Size = 50,
    page: Page = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """List imports, the newest first."""
    from kejing.customers.v1 import imports_service_pb2 as pb
    from services.cli.client import connect
    from services.cli.output import show

    states = [pb.IMPORT_STATE_RUNNING, pb.IMPORT_STATE_PAUSED] if running else []
    with connect(login) as kejing:
        answer = _stub(kejing).ListImports(pb.ListImportsRequest(page_size=size, page_token=page, states=states))
    columns: dict[str, Any] = {"arrived": "created_at", "kind": "kind", "source": "source", "file": "file_name",
               "state": "state", "done": _per_cent, "rows": "rows_read", "created": "created", "updated": "updated",
               "unchanged": "unchanged", "rejected": "rejected", "id": "id"}  # fmt: skip
    show(answer, answer.imports, columns, as_json=as_json)


@imports.command("get")
def get_import(import_id: Id, login: As = ME, as_json: Json = False) -> None:
    """Show one import."""
    from kejing.customers.v1 import imports_service_pb2 as pb
    from services.cli.client import connect

    with connect(login) as kejing:
        answer = _stub(kejing).GetImport(pb.GetImportRequest(import_id=import_id))
    _show_import(answer, as_json=as_json)


@imports.command("watch")
def watch_import(import_id: Id, login: As = ME) -> None:
    """Show how an import gets on, until it has ended."""
    from kejing.customers.v1 import imports_service_pb2 as pb
    from services.cli.client import connect
    from services.cli.import_progress import follow

    with connect(login) as kejing:
        answer = _stub(kejing).GetImport(pb.GetImportRequest(import_id=import_id))
    _tell_end(login, follow(login, getattr(answer, "import")), None)


@imports.command("pause")
def pause_import(import_id: Id, login: As = ME, as_json: Json = False) -> None:
    """Let an import rest."""
    _order("Pause", import_id, login, as_json=as_json)


@imports.command("resume")
def resume_import(import_id: Id, login: As = ME, as_json: Json = False) -> None:
    """Let a paused import go on."""
    _order("Resume", import_id, login, as_json=as_json)


@imports.command("cancel")
def cancel_import(import_id: Id, login: As = ME, as_json: Json = False) -> None:
    """End an import; what went in stays."""
    _order("Cancel", import_id, login, as_json=as_json)


@imports.command("rejected")
def rejected_rows(
    import_id: Id,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write all of them there, to be mended and fed again.")
    ] = None,
    size: Size = 50,
    page: Page = "",
    login: As = ME,
    as_json: Json = False,
) -> None:
    """Show the rows of an import that were not taken, and why."""
    from kejing.customers.v1 import imports_service_pb2 as pb
    from services.cli.client import connect
    from services.cli.output import show

    if out:
        _write(out, ())
        _download(login, import_id, out)
        print(f"written to {out}")
        return
    request = pb.ListRejectedRowsRequest(import_id=import_id, page_size=size, page_token=page)
    with connect(login) as kejing:
        answer = _stub(kejing).ListRejectedRows(request)
    columns: dict[str, Any] = {"line": "line", "column": "column", "value": "value", "reason": "reason"}
    show(answer, answer.rows, columns, as_json=as_json)


def _order(order: str, import_id: str, login: str, *, as_json: bool) -> None:
    from kejing.customers.v1 import imports_service_pb2 as pb
    from services.cli.client import connect, new_request_id

    request = getattr(pb, f"{order}ImportRequest")(request_id=new_request_id(), import_id=import_id)
    with connect(login) as kejing:
        answer = getattr(_stub(kejing), f"{order}Import")(request)
    _show_import(answer, as_json=as_json)


def _show_import(answer: Any, *, as_json: bool) -> None:
    from services.cli.output import show_one

    names = ("kind", "source", "file_name", "state", "failure", "rows_read", "created", "updated", "unchanged",
             "superseded", "rejected", "created_by", "created_at", "updated_at", "ended_at", "id")  # fmt: skip
    fields: dict[str, Any] = {name.replace("_", " "): name for name in names}
    show_one(answer, getattr(answer, "import"), {**fields, "done": _per_cent}, as_json=as_json)


def _tell_end(login: str, brought: Any, rejected: Path | None) -> None:
    """Says what came of an import that has ended. Raises CommandFailed where that is not what was wanted."""
    from services.cli.output import console

    words = ("created", "updated", "unchanged", "superseded", "rejected")
    counts = ", ".join(f"{getattr(brought, word)} {word}" for word in words)
    console().print(f"{brought.rows_read} rows read: {counts}")
    if brought.rejected or brought.superseded:
        _show_rejected(login, brought, rejected)
    _complain(brought)


def _complain(brought: Any) -> None:
    from kejing.customers.v1 import imports_service_pb2 as pb

    if brought.state == pb.IMPORT_STATE_FAILED:
        raise CommandFailed(f"import {brought.id} can't be read, and nothing of it went in: {brought.failure}")
    if brought.state == pb.IMPORT_STATE_CANCELLED:
        raise CommandFailed(f"import {brought.id} was cancelled; what had gone in stays")


def _show_rejected(login: str, brought: Any, rejected: Path | None) -> None:
    from kejing.customers.v1 import imports_service_pb2 as pb
    from services.cli.client import connect
    from services.cli.output import console

    with connect(login) as kejing:
        answer = _stub(kejing).ListRejectedRows(pb.ListRejectedRowsRequest(import_id=brought.id, page_size=SHOWN))
    for row in answer.rows:
        place = f"line {row.line}" + (f", {row.column} {row.value!r}" if row.column else "")
        console().print(f"  {place}: {row.reason}", markup=False)
    if answer.next_page_token:
        rest = f"see {rejected}" if rejected else f"`kejing imports rejected {brought.id}` shows them"
        console().print(f"  … and more; {rest}", soft_wrap=True, highlight=False, markup=False)


def _download(login: str, import_id: str, path: Path) -> None:
    from kejing.customers.v1.imports_service_pb2 import DownloadRejectedRowsRequest
    from services.cli.client import connect

    with connect(login) as kejing:
        pieces = _stub(kejing).DownloadRejectedRows(DownloadRejectedRowsRequest(import_id=import_id), timeout=3600)
        _write(path, (piece.data for piece in pieces))


def _write(path: Path, pieces: Any) -> None:
    """Writes bytes. Raises CommandFailed where that can't be."""
    try:
        with path.open("wb") as file:
            file.writelines(pieces)
    except OSError as error:
        raise CommandFailed(f"{path} can't be written: {error.strerror}") from error


def _per_cent(brought: Any) -> str:
    from services.cli.import_progress import share

    return f"{share(brought):.0%}"


def _stub(kejing: Any) -> Any:
    from kejing.customers.v1.imports_service_pb2_grpc import ImportsServiceStub

    return kejing.stub(ImportsServiceStub)
