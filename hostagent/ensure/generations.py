"""Refuses the past: an older generation of an object than was accepted, or a node that has been replaced.

What was accepted is kept in `Records`, so a restart of the agent forgets nothing. A deleted object is forgotten; a
zombie's late PUT is stopped by its node generation.
"""

from typing import Any

from hostagent.contract.error import rejected
from hostagent.ports.records import Records


class Generations:
    def __init__(self, records: Records, kinds: tuple[str, ...]) -> None:
        self._records = records
        self._accepted: dict[str, dict[str, dict[str, Any]]] = {kind: records.all(kind) for kind in (*kinds, "node")}

    def check_node(self, generation: int, oldest_alive: int) -> None:
        """The caller is node `generation`; it says that nodes before `oldest_alive` are dead (its own, if alone).

        Raises: stale_generation when the caller itself has been declared dead by another node.
        """
        floor = int(self._accepted["node"].get("floor", {}).get("generation", 0))
        if generation < floor:
            raise rejected(
                "stale_generation", f"control-plane node generation {generation} has been replaced by {floor} or later"
            )
        if min(oldest_alive, generation) > floor:
            self._write("node", "floor", {"generation": min(oldest_alive, generation)})

    def accept(self, kind: str, key: str, generation: int, **facts: Any) -> None:
        """Remember `generation` (and `facts`) for an object. Raises: stale_generation when a newer one was accepted."""
        known = self._accepted[kind].get(key, {})
        if generation < int(known.get("generation", -1)):
            raise rejected(
                "stale_generation", f"{kind} {key} is at generation {known['generation']}; {generation} is older"
            )
        wanted = known | facts | {"generation": generation}
        if wanted != known:
            self._write(kind, key, wanted)

    def note(self, kind: str, key: str, **facts: Any) -> None:
        """Remember facts of an object that is known already."""
        known = self._accepted[kind].get(key)
        if known is not None and known | facts != known:
            self._write(kind, key, known | facts)

    def get(self, kind: str, key: str) -> dict[str, Any] | None:
        return self._accepted[kind].get(key)

    def all(self, kind: str) -> dict[str, dict[str, Any]]:
        return dict(self._accepted[kind])

    def forget(self, kind: str, key: str) -> None:
        if self._accepted[kind].pop(key, None) is not None:
            self._records.delete(kind, key)

    def _write(self, kind: str, key: str, document: dict[str, Any]) -> None:
        self._records.put(kind, key, document)
        self._accepted[kind][key] = document
