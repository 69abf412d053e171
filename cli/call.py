"""One command: its words to an API call, the session used, the answer printed. The same for one-shot and prompt."""

import sys
from typing import Any

from cli.client import Client, Refused
from cli.declarations import Declaration, Declarations
from cli.output import Progress, render
from cli.request import request_for
from cli.session import Sessions
from cli.words import COMMA, Problem, find, parameters

Json = dict[str, Any]


class Failed(Exception):
    """The control plane refused; the text is for the user, the exit status is 3."""


class Caller:
    def __init__(self, known: Declarations, server: str, ca_file: str | None, output: str) -> None:
        self.known = known
        self.output = output
        self._server = server
        self._ca_file = ca_file
        self._sessions = Sessions(server)

    def run(self, words: list[str]) -> Json:
        """Prints and returns the answer; raises `Problem` or `Failed`."""
        answer = self._call(find(self.known.apis, words[0]), words[1:])
        sys.stdout.write(render(answer, self.output))
        sys.stdout.flush()
        return answer

    def ask(self, name: str, words: list[str]) -> Json:
        """A query for this program's own sake, without output."""
        api = self.known.apis[name]
        client = Client(self._server, self._ca_file, self._sessions.get())
        return client.call(request_for(api, parameters(api, words)), lambda _progress: None)

    def console(self, words: list[str]) -> None:
        """The serial line of a VM in this terminal, until it is left."""
        from cli import console  # the one command that needs a WebSocket

        session = self._sessions.get()
        if not session:
            raise Problem("please log in first: steppe LogInByAccount accountName=admin password=…")
        client = Client(self._server, self._ca_file, session)

        def call(name: str, raw: Json) -> Json:
            return client.call(request_for(find(self.known.apis, name), raw), lambda _progress: None)

        try:
            console.run(self._server, self._ca_file, call, words)
        except Refused as refused:
            raise Failed(f"console failed because {_words(refused.error)}") from None

    def _call(self, api: Declaration, words: list[str]) -> Json:
        session = self._sessions.get()
        if not (session or api.public):
            raise Problem("please log in first: steppe LogInByAccount accountName=admin password=…")
        raw = parameters(api, _with_password(api, words))
        if api.name in ("LogOut", "ValidateSession"):
            raw.setdefault("sessionUuid", session)
        client = Client(self._server, self._ca_file, "" if api.name == "LogInByAccount" else session)
        progress = Progress()
        try:
            answer = client.call(request_for(api, raw), progress.show)
        except Refused as refused:
            expired = refused.error.get("code") == "ID.1001"
            hint = "\nplease log in: steppe LogInByAccount accountName=admin" if expired else ""
            raise Failed(f"API call[{api.name}] failed because {_words(refused.error)}{hint}") from None
        finally:
            progress.end()
        if api.name == "LogInByAccount":
            self._sessions.put(answer["inventory"]["uuid"])
        elif api.name == "LogOut" and raw["sessionUuid"] == session:
            self._sessions.put("")
        for warning in answer.get("warnings", ()):
            sys.stderr.write(f"warning: {warning['details']}\n")
        return answer


def _with_password(api: Declaration, words: list[str]) -> list[str]:
    """Log-in asks for a password that is not given: it need not stand in the shell's history."""
    if api.name != "LogInByAccount" or any(word.startswith("password=") for word in words):
        return words
    if not sys.stdin.isatty():
        raise Problem('LogInByAccount needs the parameter "password" (password=@file keeps it out of the history)')
    import getpass

    password = getpass.getpass("password: ").replace(",", COMMA)
    return [*words, f"password={'@' if password.startswith('@') else ''}{password}"]


def _words(error: Json) -> str:
    shown = f"[code: {error.get('code')}, description: {error.get('description')}, details: {error.get('details')}]"
    return f"{shown}, caused by {_words(error['cause'])}" if error.get("cause") else shown
