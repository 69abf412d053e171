"""The prompt `>>>`: commands one after another, with completion, history and the results of this session at hand.

An error ends no session. A line that ends within quotes goes on with the next one, so a text of several lines may be pasted.
"""

import sys
from pathlib import Path
from typing import Any

from cli import help as manual
from cli.call import Caller, Failed
from cli.client import Refused
from cli.completion import Completion, Named
from cli.history import History
from cli.output import complain, render
from cli.words import Problem, Unfinished, split

PROMPT = ">>>"
BANNER = "Steppe. Tab completes, help explains, Ctrl-D leaves.\n"
_OFFERED = 60  # candidates listed


class Prompt:
    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._history = History()
        self._done: list[tuple[str, dict[str, Any] | str]] = []  # command and its answer, or its error
        self._completion = Completion(caller.known, self._look_up)
        self._offers: list[str] = []

    def run(self) -> int:
        """Without a terminal the commands come from standard input; then the worst of them is the exit status."""
        worst = 0
        interactive = sys.stdin.isatty()
        if interactive:
            self._prepare()
            sys.stdout.write(BANNER)
        while True:
            try:
                line = self._command(interactive)
                if line is None or line in ("quit", "exit"):
                    break
                if line:
                    worst = max(worst, self._one(line))
            except Problem as problem:
                complain(str(problem))
                worst = max(worst, 1)
            except KeyboardInterrupt:
                sys.stdout.write("\n")
        return 0 if interactive else worst

    def _command(self, interactive: bool) -> str | None:
        """Lines until every quote is closed; None at the end of the input."""
        lines: list[str] = []
        while True:
            try:
                lines.append(input((PROMPT if not lines else "...") if interactive else ""))
            except EOFError:
                if not lines:
                    sys.stdout.write("\n" if interactive else "")
                    return None
                raise Problem("the command ends within quotes") from None
            try:
                split("\n".join(lines))
                return "\n".join(lines).strip()
            except Unfinished:
                continue

    def _one(self, line: str) -> int:
        words = split(line)
        kept = self._history.add(line)
        if "readline" in sys.modules:
            sys.modules["readline"].add_history(kept)
        if self._special(words):
            return 0
        try:
            self._done.append((kept, self._caller.run(words)))
            return 0
        except (Problem, Failed) as error:
            self._done.append((kept, str(error)))
            complain(str(error))
            return 3 if isinstance(error, Failed) else 1

    def _special(self, words: list[str]) -> bool:
        name, rest = words[0], words[1:]
        if name == "help":
            sys.stdout.write(manual.text(self._caller.known, rest[0] if rest else None))
        elif name == "history":
            for number, line in enumerate(self._history.lines, 1):
                sys.stdout.write(f"{number:5} {line}\n")
        elif name == "more":
            self._more(rest)
        elif name == "save":
            self._save(rest)
        else:
            return False
        return True

    def _more(self, rest: list[str]) -> None:
        if not rest:
            for number, (line, answer) in enumerate(self._done, 1):
                sys.stdout.write(f"{number:5} {'!' if isinstance(answer, str) else ' '} {line}\n")
            return
        line, answer = self._numbered(rest[0])
        text = answer if isinstance(answer, str) else render(answer, self._caller.output)
        import pydoc

        pydoc.pager(f"{PROMPT}{line}\n{text}")

    def _save(self, rest: list[str]) -> None:
        if not 1 <= len(rest) <= 2:
            raise Problem("save takes the numbers of commands (see more) and where to: save 1,3 [file|folder]")
        numbers = rest[0].split(",")
        target = Path(rest[1]).expanduser() if len(rest) > 1 else Path()
        if len(numbers) > 1 and not target.is_dir():
            raise Problem(f"{target} is no folder, and {len(numbers)} results need one")
        for number in numbers:
            line, answer = self._numbered(number)
            if isinstance(answer, str):
                raise Problem(f"the command {number} failed and has no result")
            file = target / f"{line.split()[0]}-{number}.json" if target.is_dir() else target
            try:
                file.write_text(render(answer, "json"), "utf-8")
            except OSError as error:
                raise Problem(f"cannot write {file}: {error.strerror}") from None
            sys.stdout.write(f"saved {file}\n")

    def _numbered(self, text: str) -> tuple[str, dict[str, Any] | str]:
        if not (text.isdecimal() and 1 <= int(text) <= len(self._done)):
            raise Problem(f"there is no command {text} in this session; `more` lists them")
        return self._done[int(text) - 1]

    # -- the terminal ----------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        import readline

        for line in self._history.lines:
            readline.add_history(line)
        readline.set_auto_history(False)  # lines are added without their secrets
        readline.set_completer(self._complete)
        readline.set_completer_delims(" \t\n")
        readline.parse_and_bind("tab: complete")

    def _complete(self, word: str, state: int) -> str | None:
        try:
            if state == 0:
                self._offers = self._offered(word)
            return self._offers[state] if state < len(self._offers) else None
        except Exception:  # whatever goes wrong, the line being typed is not lost
            return None

    def _offered(self, word: str) -> list[str]:
        import readline

        line = readline.get_line_buffer()
        options = self._completion.options(line[: readline.get_begidx()], word)
        common = _common(options).rstrip("…")
        if len(options) < 2 or (len(common) > len(word) and common.lower().startswith(word.lower())):
            return [common] if len(options) > 1 else options
        # Names that merely contain the word have no common beginning: they are listed, and the word stays.
        shown = [option.rstrip(" …") for option in options[:_OFFERED]]
        more = f"  … and {len(options) - _OFFERED} more\n" if len(options) > _OFFERED else ""
        sys.stdout.write("\n" + "".join(f"  {option}\n" for option in shown) + more + PROMPT + line)
        sys.stdout.flush()
        return []

    def _look_up(self, query: str, text: str) -> Named:
        fields = self._caller.known.resources[self._caller.known.apis[query].resource or ""]["fields"]
        shown = [name for name in ("uuid", "name") if name in fields]
        column = "name" if "name" in fields else "uuid"
        try:
            found: Named = []
            for condition in dict.fromkeys([f"{column}~=%{text}%", f"uuid~={text}%"]):
                if not found:
                    words = [condition, f"fields={','.join(shown)}", "limit=200"]
                    answer = self._caller.ask(query, words)
                    found = [(one["uuid"], one.get("name", "")) for one in answer["inventories"]]
            return found
        except (Problem, Refused):
            return []


def _common(options: list[str]) -> str:
    """The beginning that all share."""
    first, last = min(options, default=""), max(options, default="")
    return next((first[:end] for end in range(len(first), 0, -1) if last.startswith(first[:end])), "")
