"""The editable list of themes."""

from typing import Any

from sqlalchemy import Row

from kejing.tasks.v1 import theme_pb2, themes_service_pb2, themes_service_pb2_grpc
from services.shared.db import Database
from services.shared.errors import AlreadyExists, NotFound
from services.tasks.storage import themes


class ThemesServicer(themes_service_pb2_grpc.ThemesServiceServicer):
    """ThemesService, as its contract says."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def CreateTheme(
        self, request: themes_service_pb2.CreateThemeRequest, context: Any
    ) -> themes_service_pb2.CreateThemeResponse:
        async with self._db.write(request) as write:
            row = {"key": request.key, "name": request.name, "color": request.color, "active": True}
            if write.first and not await themes.add(write, row):
                raise AlreadyExists("THEME_EXISTS", f"there is a theme {request.key}", key=request.key)
            stored = await themes.get(write.connection, request.key)
        return themes_service_pb2.CreateThemeResponse(theme=_theme(stored))

    async def UpdateTheme(
        self, request: themes_service_pb2.UpdateThemeRequest, context: Any
    ) -> themes_service_pb2.UpdateThemeResponse:
        async with self._db.write(request) as write:
            values = {"name": request.name, "color": request.color, "active": request.active}
            if write.first and not await themes.change(write, request.key, values):
                raise NotFound("theme", request.key)
            stored = await themes.get(write.connection, request.key)
        return themes_service_pb2.UpdateThemeResponse(theme=_theme(stored))

    async def ListThemes(
        self, request: themes_service_pb2.ListThemesRequest, context: Any
    ) -> themes_service_pb2.ListThemesResponse:
        async with self._db.read() as read:
            rows = await themes.all_by_key(read)
        return themes_service_pb2.ListThemesResponse(themes=map(_theme, rows))


def _theme(row: Row[Any] | None) -> theme_pb2.Theme:
    assert row is not None  # noqa: S101 - themes are never deleted
    return theme_pb2.Theme(key=row.key, name=row.name, color=row.color, active=row.active)
