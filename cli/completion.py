"""What Tab offers: APIs by any part of their name, parameters, queryable fields and those beyond a relation, values, and
the uuid of what has a name: `imageUuid=deb` becomes the uuid of the image called debian. The server is asked for names;
its answer is good for a few seconds, and no answer means no offer.
"""

import re
import time
from collections.abc import Callable, Iterator

from cli.declarations import Declaration, Declarations

SPECIAL = ("help", "history", "more", "save", "quit", "exit")
_FRESH = 10.0  # seconds
_KEY = re.compile(r"(.*?)(!\?=|!~=|!=|>=|<=|~=|\?=|=|>|<)(.*)", re.DOTALL)
Named = list[tuple[str, str]]  # uuid, name ("" when the resource has none)
LookUp = Callable[[str, str], Named]  # (query API, a part of the name or uuid) → up to some


class Completion:
    def __init__(self, known: Declarations, look_up: LookUp) -> None:
        self._known = known
        self._look_up = look_up
        self._answers: dict[tuple[str, str], tuple[float, Named]] = {}

    def options(self, before: str, word: str) -> list[str]:
        """Replacements of `word`; `before` is the line in front of it. A finished word ends with a blank."""
        words = before.split()
        if not words or words == ["help"]:
            part = word.lower()
            names = [name for name in self._known.apis if part in name.lower()]
            names += [name for name in SPECIAL if not words and name.startswith(part)]
            begins = [name for name in names if name.lower() == part]
            return [f"{name} " for name in begins or names]
        api = self._known.apis.get(words[0])
        if api is None:
            return []
        if found := _KEY.fullmatch(word):
            return self._values(api, found[1], found[2], found[3])
        given = {each.partition("=")[0] for each in words[1:]}
        parameters = (f"{name}=" for name in api.parameters if name not in given and name != "conditions")
        names = [*self._fields(api.resource, word), *parameters] if api.resource else list(parameters)
        return list(dict.fromkeys(name for name in names if name.lower().startswith(word.lower())))

    def _fields(self, resource: str, word: str) -> Iterator[str]:
        *path, _last = word.split(".")
        for name in path:
            follows = {key.lower(): target for key, target in self._known.resources[resource]["relations"].items()}
            if name.lower() not in follows:
                return
            resource = follows[name.lower()]
        lead = "".join(f"{name}." for name in path)
        one = self._known.resources[resource]
        yield from (f"{lead}{name}=" for name in (*one["fields"], *one["lists"]))
        if len(path) < 4:
            yield from (f"{lead}{name}." for name in one["relations"])

    def _values(self, api: Declaration, key: str, operator: str, text: str) -> list[str]:
        parameter = api.parameters.get(key)
        lead = f"{key}{operator}"
        if parameter is None:
            of = self._named_by(api.resource, key) if api.resource else None
            several = operator in ("?=", "!?=")
        else:
            of, several = parameter["of"], parameter["kind"] == "list"
            if parameter["values"]:
                return [f"{lead}{value} " for value in parameter["values"] if value.lower().startswith(text.lower())]
            if api.resource and key in ("sortBy", "groupBy", "fields"):
                *done, text = text.split(",") if several else [text]
                lead += "".join(f"{each}," for each in done)
                return [
                    f"{lead}{name}" for name in self._known.resources[api.resource]["fields"] if name.startswith(text)
                ]
        if of is None:
            return []
        if several:
            *done, text = text.split(",")
            lead += "".join(f"{each}," for each in done)
        end = "" if several else " "
        return [f"{lead}{each}" if each.endswith("…") else f"{lead}{each}{end}" for each in self._uuids(of, text)]

    def _named_by(self, resource: str, key: str) -> str | None:
        *path, last = key.split(".")
        for name in path:
            target = self._known.resources[resource]["relations"].get(name)
            if target is None:
                return None
            resource = target
        found = self._known.resources[resource]["fields"].get(last)
        return found if isinstance(found, str) else None

    def _uuids(self, resource: str, text: str) -> list[str]:
        """The uuid when the text means one resource; else the names that it may become (a blank is `_`: any letter)."""
        query = self._known.resources.get(resource, {}).get("query")
        if query is None:
            return []
        found = self._asked(query, text)
        exact = [uuid for uuid, name in found if name.lower().replace(" ", "_") == text.lower().replace(" ", "_")]
        if len(exact) == 1:
            return exact
        if len(found) == 1 or not all(name for _, name in found) or len({name for _, name in found}) == 1:
            return [uuid for uuid, _ in found]
        return sorted({re.sub(r"\s", "_", name) + "…" for _, name in found})

    def _asked(self, query: str, text: str) -> Named:
        when, found = self._answers.get((query, text), (0.0, []))
        if time.monotonic() - when > _FRESH or not when:
            found = self._look_up(query, text)
            self._answers[(query, text)] = (time.monotonic(), found)
        return found
