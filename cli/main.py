"""The `steppe` command: one API call from the command line, built from the control plane's declarations.

Prints the whole answer as JSON with sorted keys. Exit status 0 done, 1 a problem on this side, 3 refused by the control
plane, 130 interrupted. Talks HTTP only; knows nothing of the control plane but its contract.
"""

import getpass
import json
import os
import shlex
import sys
from typing import Any

import controlplane.contract  # noqa: F401  (fills the registry)
from cli import help as manual
from cli.client import Client, Refused
from cli.request import request_for
from cli.session import Sessions
from cli.words import Problem, find, parameters
from controlplane.contract.base import Api

DEFAULT_SERVER = "http://127.0.0.1:8080"
_RED, _PLAIN = "\033[31m", "\033[0m"


def main(arguments: list[str] | None = None) -> int:
    try:
        options, words = _options(sys.argv[1:] if arguments is None else arguments)
        if not words or words[0] in ("help", "-h", "--help"):
            sys.stdout.write(manual.text(words[1] if len(words) > 1 else None))
            return 0
        if words[0] == "console":
            return _console(options["--server"].rstrip("/"), options["--ca"] or None, words[1:])
        return _call(options["--server"].rstrip("/"), options["--ca"] or None, words)
    except Problem as problem:
        return _fail(str(problem), 1)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)


def _options(arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    """Options stand before the API; a single word with blanks is a whole command line."""
    options = {
        "--server": os.environ.get("STEPPE_SERVER") or DEFAULT_SERVER,
        "--ca": os.environ.get("STEPPE_CA_FILE", ""),
    }
    rest = list(arguments)
    while rest and rest[0].startswith("--") and rest[0] != "--help":
        name, given, value = rest.pop(0).partition("=")
        if name not in options:
            raise Problem(f"unknown option {name}; there are {', '.join(options)}")
        if not given and not rest:
            raise Problem(f"the option {name} needs a value")
        options[name] = value if given else rest.pop(0)
    if len(rest) == 1 and " " in rest[0]:
        try:
            rest = shlex.split(rest[0])
        except ValueError as error:
            raise Problem(f"cannot read the command: {error}") from None
    return options, rest


def _call(server: str, ca_file: str | None, words: list[str]) -> int:
    api = find(words[0])
    name = api.api_name()
    sessions = Sessions(server)
    session = sessions.get()
    if not (session or api.public):
        raise Problem("please log in first: steppe LogInByAccount accountName=admin password=…")
    raw = parameters(api, _with_password(api, words[1:]))
    if name in ("LogOut", "ValidateSession"):
        raw.setdefault("sessionUuid", session)
    client = Client(server, ca_file, "" if name == "LogInByAccount" else session)
    progress = _Progress()
    try:
        answer = client.call(request_for(api, raw), progress.show)
    except Refused as refused:
        hint = (
            "\nplease log in: steppe LogInByAccount accountName=admin" if refused.error.get("code") == "ID.1001" else ""
        )
        return _fail(f"API call[{name}] failed because {_words(refused.error)}{hint}", 3)
    finally:
        progress.end()
    if name == "LogInByAccount":
        sessions.put(answer["inventory"]["uuid"])
    elif name == "LogOut" and raw["sessionUuid"] == session:
        sessions.put("")
    sys.stdout.write(json.dumps(answer | {"success": True}, sort_keys=True, indent=4, ensure_ascii=False) + "\n\n")
    return 0


def _console(server: str, ca_file: str | None, words: list[str]) -> int:
    from cli import console  # the one command that needs a WebSocket

    session = Sessions(server).get()
    if not session:
        raise Problem("please log in first: steppe LogInByAccount accountName=admin password=…")
    client = Client(server, ca_file, session)

    def call(name: str, raw: dict[str, Any]) -> dict[str, Any]:
        return client.call(request_for(find(name), raw), lambda _progress: None)

    try:
        return console.run(server, ca_file, call, words)
    except Refused as refused:
        return _fail(f"console failed because {_words(refused.error)}", 3)


def _with_password(api: type[Api], words: list[str]) -> list[str]:
    """Log-in asks for a password that is not given: it need not stand in the shell's history."""
    if api.api_name() != "LogInByAccount" or any(word.startswith("password=") for word in words):
        return words
    if not sys.stdin.isatty():
        raise Problem('LogInByAccount needs the parameter "password" (password=@file keeps it out of the history)')
    password = getpass.getpass("password: ")
    return [*words, f"password={'@' if password.startswith('@') else ''}{password}"]


def _words(error: dict[str, Any]) -> str:
    shown = f"[code: {error.get('code')}, description: {error.get('description')}, details: {error.get('details')}]"
    return f"{shown}, caused by {_words(error['cause'])}" if error.get("cause") else shown


class _Progress:
    """On a terminal one line that is written over, else a line for each news."""

    def __init__(self) -> None:
        self._last = ""

    def show(self, progress: dict[str, Any]) -> None:
        done, total, text = progress.get("done"), progress.get("total"), progress.get("text", "")
        line = f"{text} {100 * done // total} %".strip() if done is not None and total else text
        if line and line != self._last:
            sys.stderr.write(f"\r\033[K{line}" if sys.stderr.isatty() else f"{line}\n")
            sys.stderr.flush()
            self._last = line

    def end(self) -> None:
        if self._last and sys.stderr.isatty():
            sys.stderr.write("\r\033[K")


def _fail(text: str, status: int) -> int:
    sys.stderr.write(f"{_RED}{text}{_PLAIN}\n" if sys.stderr.isatty() else f"{text}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
