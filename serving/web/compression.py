"""Static files, compressed once for browsers that read gzip."""

from __future__ import annotations

import gzip
from collections.abc import MutableMapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

from serving.web.rendering import takes_gzip

_TEXT: Final = frozenset({".css", ".js", ".svg"})


class CompressedFiles(StaticFiles):
    """Serves a folder; texts go compressed where the browser takes that."""

    async def get_response(self, path: str, scope: MutableMapping[str, Any]) -> Response:
        """Answer one request."""
        answer = await super().get_response(path, scope)
        accepted = Headers(scope=scope).get("accept-encoding")
        if not isinstance(answer, FileResponse) or Path(answer.path).suffix not in _TEXT:
            return answer
        headers = {"Vary": "Accept-Encoding", "Cache-Control": "public, max-age=31536000"}
        if not takes_gzip(accepted):
            answer.headers.update(headers)
            return answer
        return Response(
            _compressed(str(answer.path)),
            media_type=answer.media_type,
            headers=headers | {"Content-Encoding": "gzip"},
        )


@cache
def _compressed(path: str) -> bytes:
    return gzip.compress(Path(path).read_bytes(), 9, mtime=0)
