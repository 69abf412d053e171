"""The `steppe` command: API calls from the command line or at a prompt, from the control plane's declarations.

Prints the whole answer. Exit status 0 done, 1 a problem on this side, 3 refused by the control plane, 130 interrupted.
Talks HTTP only; knows nothing of the control plane but its contract.
"""

import os
import sys

from cli import help as manual
from cli.call import Caller, Failed
from cli.declarations import load
from cli.output import FORMATS, complain
from cli.words import Problem, split

DEFAULT_SERVER = "http://127.0.0.1:8080"


def main(arguments: list[str] | None = None) -> int:
    try:
        options, words = _options(sys.argv[1:] if arguments is None else arguments)
        known = load()
        if words and words[0] in ("help", "-h", "--help"):
            sys.stdout.write(manual.text(known, words[1] if len(words) > 1 else None))
            return 0
        if words and words[0] == "provider":
            from cli import provider  # few need it

            provider.run(options["--server"].rstrip("/"), options["--ca"] or None, words[1:])
            return 0
        caller = Caller(known, options["--server"].rstrip("/"), options["--ca"] or None, options["--output"])
        if words and words[0] == "console":
            caller.console(words[1:])
            return 0
        if words:
            caller.run(words)
            return 0
        from cli.prompt import Prompt

        return Prompt(caller).run()
    except Problem as problem:
        complain(str(problem))
        return 1
    except Failed as failed:
        complain(str(failed))
        return 3
    except KeyboardInterrupt:
        complain("interrupted")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads any more
        return 0


def _options(arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    """Options stand before the API; a single word with blanks is a whole command line."""
    options = {
        "--server": os.environ.get("STEPPE_SERVER") or DEFAULT_SERVER,
        "--ca": os.environ.get("STEPPE_CA_FILE", ""),
        "--output": os.environ.get("STEPPE_OUTPUT") or "json",
    }
    rest = list(arguments)
    while rest and rest[0].startswith("--") and rest[0] != "--help":
        name, given, value = rest.pop(0).partition("=")
        if name not in options:
            raise Problem(f"unknown option {name}; there are {', '.join(options)}")
        if not given and not rest:
            raise Problem(f"the option {name} needs a value")
        options[name] = value if given else rest.pop(0)
    if options["--output"] not in FORMATS:
        raise Problem(f"the output is one of {', '.join(FORMATS)}, not {options['--output']!r}")
    return options, split(rest[0]) if len(rest) == 1 and " " in rest[0] else rest


if __name__ == "__main__":
    sys.exit(main())
