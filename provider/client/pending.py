"""Creations whose end Terraform may not have heard of: what makes an apply repeatable after it was killed.

Terraform plans again at apply and takes only that plan's private data, so an idempotency key from a plan dies with the
process. Instead each creation is noted in Terraform's data directory (`.terraform/steppe-pending`, a file each) before
it is asked for. The note goes when Terraform ends in good order, when the creation fails, or when the resource shows up
in a state. A note that is left was made by a killed apply: the next creation of the very same thing takes it over.
"""

import contextlib
import hashlib
import json
import os
import threading
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from provider.client.errors import Unreachable


@dataclass(frozen=True)
class Note:
    """`digest` is of everything that was asked for; nothing secret can be read from it."""

    digest: str
    job: str
    resource: str


class Pending:
    """The notes of one working directory; `directory` None: nowhere to keep notes (no `terraform init` here)."""

    def __init__(self, directory: Path | None) -> None:
        self.directory = directory
        self._mine: set[str] = set()
        self._lock = threading.Lock()

    def abandoned(self, wanted: Any) -> Note | None:
        """A note of a killed apply about the same thing; it belongs to the caller from now on."""
        digest = _digest(wanted)
        with self._lock:
            for note in self._notes():
                if note.digest == digest and note.resource not in self._mine:
                    self._mine.add(note.resource)
                    return note
        return None

    def begin(self, wanted: Any) -> Note:
        """A new note, on disk before this returns."""
        note = Note(_digest(wanted), uuid.uuid4().hex, uuid.uuid4().hex)
        with self._lock:
            self._mine.add(note.resource)
        if self.directory is not None:
            with contextlib.suppress(OSError):  # a read-only directory costs the recovery, not the apply
                self.directory.mkdir(mode=0o700, exist_ok=True)
                path = self.directory / f"{note.resource}.json"
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "w") as file:
                    json.dump(asdict(note), file)
        return note

    def forget(self, resource: str) -> None:
        """The creation failed, or a state knows the resource."""
        if self.directory is not None:
            with contextlib.suppress(OSError):
                (self.directory / f"{resource}.json").unlink()

    def leave(self, resource: str) -> None:
        """Nobody knows how the creation ended: the note stays for the next apply."""
        with self._lock:
            self._mine.discard(resource)

    @contextlib.contextmanager
    def while_made(self, note: Note) -> Iterator[None]:
        """Around the creating call: nobody needs the note when it fails; it stays when nobody knows whether it did."""
        try:
            yield
        except Unreachable:
            self.leave(note.resource)
            raise
        except Exception:
            self.forget(note.resource)
            raise

    def settle(self) -> None:
        """Terraform ends in good order: it knows everything that was made."""
        for resource in self._mine:
            self.forget(resource)

    def _notes(self) -> list[Note]:
        notes = []
        for path in sorted(self.directory.glob("*.json")) if self.directory is not None else []:
            with contextlib.suppress(OSError, ValueError, TypeError):
                notes.append(Note(**json.loads(path.read_text())))
        return notes


@cache
def here() -> Pending:
    """The notes of the directory that Terraform runs in."""
    data = Path(os.environ.get("TF_DATA_DIR") or ".terraform")
    return Pending(data / "steppe-pending" if data.is_dir() else None)


def _digest(wanted: Any) -> str:
    return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()
