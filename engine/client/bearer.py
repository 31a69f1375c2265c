"""The token that an engine asks for, from a file. Both clients share this.

A token is never an argument or a variable: those are seen by others, and end in logs. A file is
read when the client is made, and again when the engine does not take its token any more: so a token
is rotated without a restart.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the dashboard's first picture needs a token file read, and no HTTP library
    import httpx

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750 §2.1."""
BYTES_MAX = 65_536
"""No file of tokens is larger."""


class TokenFile:
    """A file whose first line is a token. Raises ValueError where there is none to be read."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._token = self._read()

    def headers(self) -> dict[str, str]:
        """What a request carries."""
        return {"Authorization": f"Bearer {self._token}"}

    def has_another(self, refused: httpx.Headers) -> bool:
        """Whether there is another token than that of a request that was refused, to ask with once
        more. The file is read again, unless another call has done so meanwhile."""
        if refused.get("Authorization") == self.headers()["Authorization"]:
            try:
                self._token = self._read()
            except ValueError:
                return False  # it is being written: what the engine said counts
        return bool(refused.get("Authorization") != self.headers()["Authorization"])

    def _read(self) -> str:
        try:
            with self._path.open("rb") as file:
                lines = file.read(BYTES_MAX).decode("ascii", "replace").split()
        except OSError as error:
            raise ValueError(
                f"the token file {self._path} cannot be read: {error.strerror}"
            ) from error
        if not lines or not _TOKEN.fullmatch(lines[0]):
            raise ValueError(f"the token file {self._path} does not begin with a token")
        return lines[0]


def bearer_headers(token: TokenFile | None) -> dict[str, str]:
    """What a request carries, with a token or without."""
    return {} if token is None else token.headers()
