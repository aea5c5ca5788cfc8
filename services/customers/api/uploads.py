"""Files and records come up: they are kept whole, and what is wrong with their beginning is said at once."""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import IO, Any
from uuid import UUID

from kejing.customers.v1 import imports_service_pb2 as pb
from services.customers.api import workbook
from services.customers.api.import_wire import kind_of, tell, to_mapping
from services.customers.domain.csv_file import CsvFile, Place
from services.customers.domain.mapping import FieldMapping
from services.customers.domain.rows import RowReader, numbered
from services.customers.storage import attributes, import_files, import_runs
from services.customers.storage.import_files import PIECE_BYTES
from services.shared.db import Database
from services.shared.errors import AlreadyExists, InvalidArgument
from services.shared.ids import new_id
from services.shared.keyring import Keyring
from services.shared.rpc.caller import caller

LARGEST_FILE = 4 * 1024**3
"""Bytes of a file that is taken up."""
LARGEST_WORKBOOK = 512 * 1024**2
IN_MEMORY = 8 * 1024**2
ABANDONED = timedelta(days=1)


async def opened(requests: AsyncIterator[Any]) -> tuple[pb.ImportStart, AsyncIterator[Any]]:
    """The start of an upload, and the messages after it. Raises InvalidArgument (START_MISSING, START_TWICE)."""
    first = await anext(requests, None)
    if first is None or first.WhichOneof("part") != "start":
        raise InvalidArgument("start", "", "the first message must say what the file's columns mean", "START_MISSING")

    async def others() -> AsyncIterator[Any]:
        async for request in requests:
            if request.WhichOneof("part") == "start":
                raise InvalidArgument("start", "given twice", "only the first message may hold it", "START_TWICE")
            yield request

    return first.start, others()


class Uploads:
    """Takes files up. `keyring`: what they are encrypted under."""

    def __init__(self, db: Database, keyring: Keyring) -> None:
        self._db = db
        self._keyring = keyring

    async def file(self, start: pb.ImportStart, data: AsyncIterator[bytes]) -> Any:
        """Keeps a CSV or XLSX file; answers the import's row. Raises InvalidArgument as UploadFile says."""
        async with Upload.begun(self._db, self._keyring, start) as upload:
            first = await anext(data, b"")
            while len(first) < len(workbook.MAGIC) and (more := await anext(data, b"")):
                first += more
            if first.startswith(workbook.OLD_MAGIC):
                allowed = "an old XLS file, or one with a password, must be saved as XLSX or CSV without one"
                raise InvalidArgument("data", "", allowed, "FILE_BROKEN")
            if first.startswith(workbook.MAGIC):
                await self._workbook(upload, start.mapping.sheet, first, data)
            else:
                await upload.add(first)
                async for piece in data:
                    await upload.add(piece)
            return await upload.end()

    async def records(self, start: pb.ImportStart, parts: AsyncIterator[pb.Records]) -> Any:
        """Keeps records as a file; answers the import's row. Raises InvalidArgument as SyncRecords says."""
        async with Upload.begun(self._db, self._keyring, start) as upload:
            upload.by_record = True
            names = [*dict.fromkeys(c.heading for c in upload.mapping.columns.values()), *upload.mapping.ignore]
            await upload.add(b"".join(workbook.as_csv(iter([["1", *names]]), PIECE_BYTES)))
            known, number = set(names), 1
            async for part in parts:
                rows = []
                for record in part.records:
                    number += 1
                    if unknown := next((name for name in record.values if name not in known), None):
                        allowed = "the field is neither mapped nor listed under ignore"
                        raise InvalidArgument("records", unknown, allowed, "COLUMN_NOT_MAPPED")
                    rows.append([str(number), *(record.values.get(name, "") for name in names)])
                await upload.add(b"".join(workbook.as_csv(iter(rows), PIECE_BYTES)))
            return await upload.end()

    @staticmethod
    async def _workbook(upload: "Upload", sheet: str, first: bytes, data: AsyncIterator[bytes]) -> None:
        upload.by_record = True
        with tempfile.SpooledTemporaryFile(IN_MEMORY) as spool:  # on disk it has no name, and ends with the process
            spool.write(first)
            async for piece in data:
                if spool.tell() > LARGEST_WORKBOOK:
                    raise too_large(LARGEST_WORKBOOK)
                await asyncio.to_thread(spool.write, piece)
            pieces = workbook.as_csv(workbook.rows(_seekable(spool), sheet), PIECE_BYTES)
            while converted := await asyncio.to_thread(lambda: next(pieces, b"")):
                await upload.add(converted)


def _seekable(spool: Any) -> IO[bytes]:
    spool.seek(0)
    found: IO[bytes] = spool
    return found


class Upload:
    """One file on its way up. `by_record`: it begins each row with the number of a record."""

    def __init__(self, db: Database, keyring: Keyring, start: pb.ImportStart, mapping: FieldMapping) -> None:
        self.mapping = mapping
        self.by_record = False
        self._db = db
        self._keyring = keyring
        self._start = start
        self._id = new_id()
        self._digest = hashlib.sha256()
        self._buffer = bytearray()
        self._pieces = 0
        self._bytes = 0
        self._header: list[str] = []
        self._kept = False

    @classmethod
    def begun(cls, db: Database, keyring: Keyring, start: pb.ImportStart) -> "_Begun":
        return _Begun(db, keyring, start)

    async def add(self, data: bytes) -> None:
        self._buffer += data
        self._bytes += len(data)
        if self._bytes > LARGEST_FILE:
            raise too_large(LARGEST_FILE)
        while len(self._buffer) > PIECE_BYTES:
            piece = bytes(self._buffer[:PIECE_BYTES])
            del self._buffer[:PIECE_BYTES]
            await self._keep(piece, last=False)

    async def end(self) -> Any:
        """All of it has come."""
        await self._keep(bytes(self._buffer), last=True)
        async with self._db.write(self._start, result_id=self._id) as write:
            if write.first:
                start = self._start
                await import_runs.add(
                    write, id=self._id, kind=kind_of(start.kind), source=start.source, file_name=start.file_name,
                    mapping=start.mapping.SerializeToString(deterministic=True), header=self._header,
                    digest=self._digest.digest(), by_record=self.by_record, bytes=self._bytes,
                )  # fmt: skip
                await import_files.forget_abandoned(write, _id_before(write.now - ABANDONED))
            row = await import_runs.get(write.connection, write.result_id)
            if row is None or row.digest != self._digest.digest():
                raise AlreadyExists("REQUEST_ID_REUSED", "this request_id came before with another file")
            if write.first:
                tell(write, row)
        self._kept = write.first
        return row

    async def forget(self) -> None:
        """Takes back what was kept of a file that doesn't come in."""
        if self._pieces and not self._kept:
            async with self._db.transaction(actor=caller().actor) as write:
                await import_files.forget(write, self._id)

    async def _keep(self, piece: bytes, *, last: bool) -> None:
        if not self._pieces:
            self._header = await asyncio.to_thread(self._checked, piece, last=last)
        self._digest.update(piece)
        async with self._db.transaction(actor=caller().actor) as write:
            await import_files.keep(write, self._keyring, self._id, self._pieces, piece)
        self._pieces += 1

    def _checked(self, piece: bytes, *, last: bool) -> list[str]:
        """The heading, where the file's beginning is right. Raises InvalidArgument."""
        mapping = self._start.mapping
        encoding, delimiter = csv_dialect(mapping, by_record=self.by_record)
        records = numbered(CsvFile(encoding, delimiter, Place()).feed(piece, last=last), by_record=self.by_record)
        if not records.rows:
            raise InvalidArgument("data", "", "the file must begin with a line of column names", "FILE_EMPTY")
        RowReader(self.mapping, records.rows[0])
        return list(records.rows[0])


class _Begun:
    """Around an upload: takes it back unless it ended well."""

    def __init__(self, db: Database, keyring: Keyring, start: pb.ImportStart) -> None:
        self._db, self._keyring, self._start = db, keyring, start
        self._upload: Upload | None = None

    async def __aenter__(self) -> Upload:
        async with self._db.read() as read:
            custom = await attributes.definitions(read)
        mapping = to_mapping(kind_of(self._start.kind), self._start.mapping, custom)
        self._upload = Upload(self._db, self._keyring, self._start, mapping)
        return self._upload

    async def __aexit__(self, *_: object) -> None:
        if self._upload:
            await self._upload.forget()


def csv_dialect(mapping: pb.Mapping, *, by_record: bool) -> tuple[str, str]:
    """Encoding and delimiter of the file as it is kept."""
    return ("utf-8", ",") if by_record else (mapping.encoding or "utf-8", mapping.delimiter or ",")


def too_large(most: int) -> InvalidArgument:
    return InvalidArgument("data", f"more than {most} bytes", f"at most {most} are taken", "FILE_TOO_LARGE")


def _id_before(moment: Any) -> UUID:
    """The least UUIDv7 of a moment."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)
