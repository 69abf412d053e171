"""steppe_global_config: one entry of the global configuration. It always exists: destroying it resets it to its default."""

from collections.abc import Mapping
from typing import ClassVar

from provider.client.control_plane import ControlPlane, Inventory
from provider.framework import validate
from provider.framework.diagnostics import Refused
from provider.framework.plan import Object
from provider.framework.resource import Context, Finder, Resource
from provider.framework.schema import Schema, computed, required
from provider.framework.types import STRING
from provider.resources.moved_from import MOVES

LIMIT = 60.0  # seconds
KEY = validate.matches(r"[A-Za-z][\w.]*", "a word such as vm.cpuMode")


def _fetch(client: ControlPlane, category: str, name: str) -> Object:
    """Raises `ApiFailure` with what there is when there is no such entry."""
    found: Inventory = client.get(f"/global-configurations/{category}/{name}")["inventory"]
    told = {"default_value": found.get("defaultValue"), "description": found.get("description")}
    return {"category": category, "name": name, "value": found.get("value")} | told


class GlobalConfig(Resource):
    type_name = "steppe_global_config"
    identity: ClassVar[tuple[str, ...]] = ("category", "name")
    imported_by: ClassVar[tuple[str, str]] = ("category and name", "kvm/vm.cpuMode")
    schema = Schema(
        {
            "category": required(STRING, "Category of the entry, e.g. `kvm`.", replace=True, validators=(KEY,)),
            "name": required(STRING, "Name of the entry, e.g. `vm.cpuMode`.", replace=True, validators=(KEY,)),
            "value": required(
                STRING, 'Its value, always as text: `"true"`, `"60"`, `"512M"`.', validators=(validate.length(1, 4096),)
            ),
            "default_value": computed(STRING, "Its value when nobody chooses one."),
            "description": computed(STRING, "What the entry means."),
        },
        "An entry of the global configuration, which holds for the whole cloud. Destroying it resets the entry to its default.",
    )

    def create(self, context: Context, planned: Object) -> Object:
        return self._store(context, planned)

    def read(self, context: Context, state: Object) -> Object | None:
        return _fetch(context.client, state["category"], state["name"])

    def update(self, context: Context, prior: Object, planned: Object) -> Object:
        return self._store(context, planned)

    def delete(self, context: Context, state: Object) -> None:
        entry = {name: state[name] for name in ("category", "name")}
        context.client.action("/global-configurations", "resetGlobalConfig", entry, timeout=LIMIT)

    def moves_from(self) -> Mapping[str, Finder]:
        return MOVES[self.type_name]

    def import_state(self, context: Context, identifier: str) -> Object:
        category, slash, name = identifier.partition("/")
        if not slash or KEY(category) or KEY(name):
            raise Refused("Cannot import", f"The id is category and name, e.g. kvm/vm.cpuMode; {identifier!r} is not.")
        return _fetch(context.client, category, name)

    def _store(self, context: Context, planned: Object) -> Object:
        path = f"/global-configurations/{planned['category']}/{planned['name']}"
        context.client.action(path, "updateGlobalConfig", {"value": planned["value"]}, timeout=LIMIT)
        return _fetch(context.client, planned["category"], planned["name"]) | {"value": planned["value"]}
