"""ImportsService: how customers, contacts and owners come in from other systems."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from kejing.customers.v1 import imports_service_pb2 as pb
from kejing.customers.v1 import imports_service_pb2_grpc
from services.customers.api.advancing import Advancing, end
from services.customers.api.import_wire import tell, to_import, to_rejected
from services.customers.api.uploads import Uploads, csv_dialect, opened
from services.customers.domain.fields import FORMULA, TYPED
from services.customers.domain.mapping import REASON_HEADING
from services.customers.domain.spreadsheets import guarded
from services.customers.storage import import_runs, links
from services.customers.storage.import_files import PIECE_BYTES
from services.shared.db import Database, Write
from services.shared.db.paging import next_page_token, page_size, page_start
from services.shared.errors import FailedPrecondition, NotFound
from services.shared.keyring import Keyring
from services.shared.rpc.caller import caller
from services.shared.rpc.wire import put_timestamp

WATCH_SECONDS = 0.25
ENDED = ("DONE", "CANCELLED", "FAILED")
DOWNLOADED_ROWS = 1000


class ImportsServicer(imports_service_pb2_grpc.ImportsServiceServicer):
    """`keyring`: that of files; `zone`: the business time zone."""

    def __init__(self, db: Database, keyring: Keyring, zone: ZoneInfo) -> None:
        self._db = db
        self._keyring = keyring
        self._uploads = Uploads(db, keyring)
        self._advancing = Advancing(db, keyring, zone)

    async def UploadFile(self, requests: AsyncIterator[pb.UploadFileRequest], context: Any) -> pb.UploadFileResponse:
        start, others = await opened(requests)
        row = await self._uploads.file(start, (each.data async for each in others))
        return pb.UploadFileResponse(**{"import": to_import(row)})

    async def SyncRecords(self, requests: AsyncIterator[pb.SyncRecordsRequest], context: Any) -> pb.SyncRecordsResponse:
        start, others = await opened(requests)
        row = await self._uploads.records(start, (each.records async for each in others))
        return pb.SyncRecordsResponse(**{"import": to_import(row)})

    async def GetImport(self, request: pb.GetImportRequest, context: Any) -> pb.GetImportResponse:
        return pb.GetImportResponse(**{"import": to_import(await self._known(request.import_id))})

    async def ListImports(self, request: pb.ListImportsRequest, context: Any) -> pb.ListImportsResponse:
        size = page_size(request.page_size)
        states = [pb.ImportState.Name(state).removeprefix("IMPORT_STATE_") for state in request.states]
        async with self._db.read() as read:
            rows = await import_runs.page(read, states, page_start(request), size + 1)
        page, more = rows[:size], len(rows) > size
        return pb.ListImportsResponse(
            imports=map(to_import, page),
            next_page_token=next_page_token(request, [page[-1].id]) if more else "",
        )

    async def WatchImport(self, request: pb.WatchImportRequest, context: Any) -> AsyncIterator[pb.WatchImportResponse]:
        told = None
        while told is None or told.state not in ENDED:
            row = await self._known(request.import_id)
            if row != told:
                yield pb.WatchImportResponse(**{"import": to_import(row)})
            told = row
            if told.state not in ENDED:
                await asyncio.sleep(WATCH_SECONDS)

    async def PauseImport(self, request: pb.PauseImportRequest, context: Any) -> pb.PauseImportResponse:
        return pb.PauseImportResponse(**{"import": to_import(await self._order(request, "PAUSED"))})

    async def ResumeImport(self, request: pb.ResumeImportRequest, context: Any) -> pb.ResumeImportResponse:
        return pb.ResumeImportResponse(**{"import": to_import(await self._order(request, "RUNNING"))})

    async def CancelImport(self, request: pb.CancelImportRequest, context: Any) -> pb.CancelImportResponse:
        return pb.CancelImportResponse(**{"import": to_import(await self._order(request, "CANCELLED"))})

    async def ListRejectedRows(self, request: pb.ListRejectedRowsRequest, context: Any) -> pb.ListRejectedRowsResponse:
        row, size = await self._known(request.import_id), page_size(request.page_size)
        async with self._db.read() as read:
            rows = await import_runs.rejected_page(read, row.id, page_start(request), size + 1)
        page, more = rows[:size], len(rows) > size
        return pb.ListRejectedRowsResponse(
            rows=map(to_rejected, page),
            next_page_token=next_page_token(request, [page[-1].line, page[-1].place]) if more else "",
        )

    async def DownloadRejectedRows(
        self, request: pb.DownloadRejectedRowsRequest, context: Any
    ) -> AsyncIterator[pb.DownloadRejectedRowsResponse]:
        known = await self._known(request.import_id)
        # As the import's own mapping reads it. A file that was fed again has reasons of its own in it, which go.
        encoding, delimiter = csv_dialect(pb.Mapping.FromString(known.mapping), by_record=False)
        width, kept = len(known.header), [n for n, name in enumerate(known.header) if name != REASON_HEADING]

        def lines(rows: list[list[str]]) -> bytes:
            text = io.StringIO()
            csv.writer(text, delimiter=delimiter).writerows(rows)
            return text.getvalue().encode(encoding)

        mark = b"\xef\xbb\xbf" if encoding == "utf-8" else b""
        heading = lines([[*(known.header[n] for n in kept), REASON_HEADING]])
        yield pb.DownloadRejectedRowsResponse(data=mark + heading)
        after: list[Any] | None = None
        while True:
            async with self._db.read() as read:
                rows = await import_runs.rejected_lines(read, known.id, after, DOWNLOADED_ROWS)
            if not rows:
                return
            cells = [[_shown(cell) for cell in import_runs.cells_of(self._keyring, row)] for row in rows]
            # A row of another width keeps it, so that it is not taken for a whole one when it is fed again.
            mended = [[found[n] for n in kept] if len(found) == width else found for found in cells]
            data = lines([[*found, row.reasons] for found, row in zip(mended, rows, strict=True)])
            for start in range(0, len(data), PIECE_BYTES):
                yield pb.DownloadRejectedRowsResponse(data=data[start : start + PIECE_BYTES])
            after = [rows[-1].line]

    async def ListSources(self, request: pb.ListSourcesRequest, context: Any) -> pb.ListSourcesResponse:
        async with self._db.read() as read:
            rows = await links.sources_with_counts(read, caller().scope)
        answer = pb.ListSourcesResponse()
        for row in rows:
            source = answer.sources.add(
                name=row.name, ours=row.ours, contacts_ours=row.contacts_ours, customers=row.customers
            )
            put_timestamp(source.imported_at, row.imported_at)
        return answer

    async def AdvanceImport(self, request: pb.AdvanceImportRequest, context: Any) -> pb.AdvanceImportResponse:
        row = await self._advancing.advance(UUID(request.import_id))
        return pb.AdvanceImportResponse(**{"import": to_import(row)})

    async def _known(self, import_id: str) -> Any:
        async with self._db.read() as read:
            row = await import_runs.get(read, UUID(import_id))
        if row is None:
            raise NotFound("import", import_id)
        return row

    async def _order(self, request: Any, state: str) -> Any:
        """Brings an import that hasn't ended into another state; answers it."""
        async with self._db.write(request, result_id=UUID(request.import_id)) as write:
            row = await import_runs.lock(write, write.result_id)
            if row is None:
                raise NotFound("import", request.import_id)
            if not write.first or row.state == state:
                return row
            if row.state in ENDED:
                raise FailedPrecondition("IMPORT_STATE", f"it has ended: {row.state}", state=row.state)
            if state == "CANCELLED":
                return await end(write, row, state)
            return await _into(write, row, state)


async def _into(write: Write, row: Any, state: str) -> Any:
    changed = await import_runs.change(write, row.id, state=state, version=row.version + 1)
    tell(write, changed)
    return changed


def _shown(cell: str) -> str:
    """A cell without the mark of what it was in a spreadsheet, such that no program runs it; it is read as it was."""
    return guarded(cell.lstrip(FORMULA + TYPED))
