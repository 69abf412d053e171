"""What the command line knows of every API, from the control plane's declarations, kept in a file for a fast start.

The contract is the one declaration; reading it takes half a second (pydantic), so what is needed here is written to
`~/.steppe/declarations.json` and used for as long as no file of the contract has changed. Without a home it is read anew.
"""

import json
import os
from pathlib import Path
from typing import Any

_CONTRACT = Path(__file__).resolve().parent.parent / "controlplane" / "contract"
Json = dict[str, Any]


class Declaration:
    """One API. `parameters`: wire name → {kind: list|dict|None, required, type (for people), values, of (resource type)}."""

    def __init__(self, name: str, raw: Json) -> None:
        self.name = name
        self.method: str = raw["method"]
        self.path: str = raw["path"]
        self.path_parameters: list[str] = raw["pathParameters"]
        self.action: str | None = raw["action"]
        self.public: bool = raw["public"]
        self.doc: str = raw["doc"]
        self.parameters: dict[str, Json] = raw["parameters"]
        self.secrets: dict[str, str] = raw["secrets"]
        self.resource: str | None = raw["resource"]  # what a query asks for

    @property
    def is_query(self) -> bool:
        return self.resource is not None


class Declarations:
    def __init__(self, raw: Json) -> None:
        self.apis = {name: Declaration(name, api) for name, api in raw["apis"].items()}
        # resource type → {query, fields: {name: resource type it names or null}, lists, relations: {name: resource type}}
        self.resources: dict[str, Json] = raw["resources"]


def load(folder: Path | None = None) -> Declarations:
    file = (folder or Path.home() / ".steppe") / "declarations.json"
    key = [[entry.name, entry.stat().st_mtime_ns, entry.stat().st_size] for entry in _sources()]
    try:
        known = json.loads(file.read_bytes())
        if known["key"] == key:
            return Declarations(known)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raw = {"key": key, **_read()}
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = file.with_name(f"{file.name}.{os.getpid()}")
        partial.write_text(json.dumps(raw))
        partial.replace(file)
    except OSError:
        pass  # only slower the next time
    return Declarations(raw)


def _sources() -> list[os.DirEntry[str]]:
    with os.scandir(_CONTRACT) as entries:
        own = [entry for entry in entries if entry.name.endswith(".py")]
    with os.scandir(Path(__file__).parent) as entries:
        own += [entry for entry in entries if entry.name.startswith("contract_table")]
    return sorted(own, key=lambda entry: entry.name)


def _read() -> Json:
    from cli import contract_table

    return contract_table.read()
