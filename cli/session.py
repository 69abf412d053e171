"""The sessions of earlier log-ins, one for each server, in `~/.steppe/session`, readable by its owner only."""

import json
import os
from pathlib import Path


class Sessions:
    def __init__(self, server: str, path: Path | None = None) -> None:
        self._server = server
        self._path = path or Path.home() / ".steppe" / "session"

    def get(self) -> str:
        return self._all().get(self._server, "")

    def put(self, token: str) -> None:
        """ "" forgets the session."""
        sessions = {server: known for server, known in self._all().items() if server != self._server}
        if token:
            sessions[self._server] = token
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(sessions, file)
        partial.replace(self._path)

    def _all(self) -> dict[str, str]:
        try:
            known = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}
