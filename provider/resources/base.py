"""A resource as a table: which attributes the creating and the updating API take, and which links it keeps.

The attribute `cluster_uuid` is the field `clusterUuid`, unless `names` says otherwise. Reading keeps what the user wrote
where the control plane says the same in other words, so that the next plan is empty.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

from provider.client import pending
from provider.client.control_plane import ControlPlane, Inventory
from provider.client.errors import wire_name
from provider.framework import validate
from provider.framework.diagnostics import Partial, Path, Refused, spelled
from provider.framework.plan import Object
from provider.framework.resource import Context, Finder, Resource
from provider.framework.schema import Attr, Nested, computed, optional, required
from provider.framework.types import BOOL, STRING, UNKNOWN, Value, set_of, wholly_known
from provider.resources.enablement import wished
from provider.resources.moved_from import MOVES

DEFAULT_TIMEOUT = "10m"
PROTECTION: Path = ("deletion_protection",)


def identity(noun: str) -> dict[str, Attr]:
    """The attributes that every resource has."""
    return {
        "uuid": computed(STRING, f"UUID of the {noun}: 32 hexadecimal digits. Use it to import."),
        "name": required(STRING, f"Name of the {noun}, 1 to 255 characters.", validators=(validate.length(1, 255),)),
        "description": optional(STRING, "Any text, at most 2048 characters.", validators=(validate.length(0, 2048),)),
    }


def timeouts(**defaults: str) -> dict[str, Attr]:
    """How long each kind of change may take; then it is cancelled and undone. E.g. `timeouts(create="1h")`."""
    limits = {"create": DEFAULT_TIMEOUT, "update": DEFAULT_TIMEOUT, "delete": DEFAULT_TIMEOUT} | defaults
    members = {
        kind: optional(STRING, f"E.g. `90s` or `1h30m`; {limit} when left out.", validators=(validate.duration,))
        for kind, limit in limits.items()
    }
    return {"timeouts": optional(Nested("single", members), "How long a change may take before it is cancelled.")}


def deletion_protection(noun: str) -> dict[str, Attr]:
    return {
        "deletion_protection": optional(
            BOOL,
            f"Whether Terraform refuses to destroy or replace the {noun}, already in the plan. To lift it, set it to "
            "false and apply that first.",
            default=False,
        )
    }


def reference(noun: str, attribute: str = "", **rest: Any) -> Attr:
    """A required uuid of another resource; a change of it needs a new resource."""
    return required(STRING, attribute or f"UUID of {noun}.", validators=(validate.uuid,), **({"replace": True} | rest))


def references(noun: str, description: str) -> Attr:
    """A set of uuids, changed in place."""
    return optional(set_of(STRING), description or f"UUIDs of {noun}.", validators=(validate.each(validate.uuid),))


@dataclass(frozen=True)
class Links:
    """A set attribute kept by attaching and detaching: `path` has `{uuid}` (ours) and `{target}`."""

    attribute: str
    field: str  # of the inventory: the list of attached uuids
    path: str
    attach: str  # API names, for messages
    detach: str


class Table(Resource):
    """The generic resource. Subclasses state the class attributes and override what is special."""

    identity: ClassVar[tuple[str, ...]] = ("uuid",)
    collection: ClassVar[str]  # "zones"
    create_api: ClassVar[tuple[str, str]]  # API name and path
    update_action: ClassVar[str]  # "updateZone"
    delete_api: ClassVar[str]  # "DeleteZone"
    expunge_action: ClassVar[str] = ""  # "expungeImage": of what can be recovered for a while after its deletion
    state_action: ClassVar[str] = ""  # "changeZoneState", of what has a `state` to choose
    named: ClassVar[tuple[str, ...]] = ("name", "description")
    creates_with: ClassVar[tuple[str, ...]] = ()  # attributes besides name and description
    updates: ClassVar[tuple[str, ...]] = ()  # likewise
    names: ClassVar[dict[str, str]] = {}  # attribute → field, where it is not its camelCase
    constants: ClassVar[dict[str, Any]] = {}  # parameters that every create sends
    links: ClassVar[tuple[Links, ...]] = ()
    unqueryable: ClassVar[frozenset[str]] = frozenset()  # attributes by which nothing can be listed
    limits: ClassVar[dict[str, str]] = {}  # default time-outs that differ from DEFAULT_TIMEOUT

    # Changes.

    def create(self, context: Context, planned: Object) -> Object:
        uuid = self.make(context, planned)
        bare = {name: None if value is UNKNOWN else value for name, value in planned.items()} | {"uuid": uuid}
        if "deletion_protection" in bare:
            bare["deletion_protection"] = False  # what was made by halves is to be made anew
        try:
            self.build(context, uuid, planned)
            self._enable(context, uuid, "Enabled", planned, "create")
        except Exception as error:
            self._undo_create(context, bare, error)
        try:
            return self._present(context, uuid, planned)
        except Exception as error:
            raise Partial(error, bare) from error

    def build(self, context: Context, uuid: str, planned: Object) -> None:
        """What a new resource needs besides its creating call; when it fails, the resource is removed.

        Some of it may be there: the call may be that of an apply that was killed.
        """
        there = context.client.find(self.collection, uuid) or {} if self.links else {}
        for links in self.links:
            self._relink(context, links, uuid, there.get(links.field, []), planned)

    def make(self, context: Context, planned: Object) -> str:
        """The creating call; the uuid of what exists now."""
        client: ControlPlane = context.client
        call, path = self.create_endpoint(planned)
        parameters = {self.field(name): planned[name] for name in (*self.named, *self.creates_with)}
        parameters |= {**self.constants, **self.parameters(context, planned)}
        # What is open in the plan is the control plane's to choose.
        parameters = {name: None if value is UNKNOWN else value for name, value in parameters.items()}
        tags = self.tags(context, planned)
        wanted = [client.endpoint, path, parameters, tags, client.default_tags]
        survivor = pending.here().abandoned(wanted)
        if survivor is not None:
            client.settle(survivor.job, self.limit("create", planned))
            if client.find(self.collection, survivor.resource) is not None:
                return survivor.resource
            pending.here().forget(survivor.resource)
        note = pending.here().begin(wanted)
        with pending.here().while_made(note):
            client.create(
                call,
                path,
                parameters | self.secrets(context, planned) | {"resourceUuid": note.resource},
                job=note.job,
                tags=tags,
                user_tags=client.default_tags,
                timeout=self.limit("create", planned),
            )
        return note.resource

    def create_endpoint(self, planned: Object) -> tuple[str, str]:
        return self.create_api

    def parameters(self, context: Context, planned: Object) -> dict[str, Any]:
        """Parameters of the create that are not plain attributes."""
        return {}

    def secrets(self, context: Context, planned: Object) -> dict[str, Any]:
        """Parameters of the create that are noted nowhere."""
        return {}

    def tags(self, context: Context, planned: Object) -> list[str]:
        return []

    def update(self, context: Context, prior: Object, planned: Object) -> Object:
        uuid = prior["uuid"]
        try:
            self.update_first(context, prior, planned)
            changed = [
                name
                for name in (*self.named, *self.updates)
                if planned[name] != prior[name] and planned[name] is not UNKNOWN
            ]
            if changed:
                # What the user no longer states is emptied; a text that is left out would stay.
                parameters = {self.field(name): "" if planned[name] is None else planned[name] for name in changed}
                limit = self.limit("update", planned)
                context.client.action(f"/{self.collection}/{uuid}", self.update_action, parameters, timeout=limit)
            for links in self.links:
                self._relink(context, links, uuid, prior[links.attribute] or [], planned)
            self.update_more(context, prior, planned)
            self._enable(context, uuid, prior.get("state"), planned, "update")
        except Partial:  # all is as planned, and yet something is wrong
            raise
        except Exception as error:
            raise Partial(error, self.halfway(context, prior, planned)) from error
        return self._present(context, uuid, planned)

    def halfway(self, context: Context, prior: Object, planned: Object) -> Object:
        """The state when an update failed: some of it may have happened, and the control plane says what."""
        return self.read(context, prior) or prior

    def _enable(self, context: Context, uuid: str, now: str | None, planned: Object, kind: str) -> None:
        """Last of all: what is disabled may refuse what else is to be done to it."""
        event = wished(planned, now) if self.state_action else None
        if event is not None:
            parameters = {"stateEvent": event} | self.state_parameters(planned)
            path, limit = f"/{self.collection}/{uuid}", self.limit(kind, planned)
            context.client.action(path, self.state_action, parameters, timeout=limit)

    def state_parameters(self, planned: Object) -> dict[str, Any]:
        """What a change of the state needs besides."""
        return {}

    def update_first(self, context: Context, prior: Object, planned: Object) -> None:
        """What must be there before the fields of the updating API change."""

    def update_more(self, context: Context, prior: Object, planned: Object) -> None:
        """Changes that are neither fields of the updating API nor links."""

    def guarded(self, state: Object, because: Sequence[Path]) -> Refused | None:
        if not state.get("deletion_protection"):
            return None
        what = f"{self.type_name} {state.get('name') or state['uuid']}"
        change = (
            f"A change of {', '.join(map(spelled, because))} needs a new one" if because else "It would be destroyed"
        )
        how = "set deletion_protection = false and apply that first (of a tainted one after `terraform untaint`)."
        return Refused(f"{what} is protected", f"{change}, and deletion_protection is true: {how}", PROTECTION)

    def delete(self, context: Context, state: Object) -> None:
        """For good, unless an attribute `expunge` says otherwise."""
        client: ControlPlane = context.client
        path, limit = f"/{self.collection}/{state['uuid']}", self.limit("delete", state)
        inventory = client.find(self.collection, state["uuid"])
        if inventory is None:
            return
        expunges = bool(self.expunge_action) and state.get("expunge") is not False
        if expunges:
            self.must_be_ours(context, inventory)
        if not self.gone(inventory):
            self.release(context, inventory, state)
            # In one job, so that no Ctrl-C comes between deleting and expunging.
            client.delete(self.delete_api, f"{path}?expunge=true" if expunges else path, timeout=limit)
        if expunges and client.find(self.collection, state["uuid"]) is not None:
            client.action(path, self.expunge_action, {}, timeout=limit)

    def must_be_ours(self, context: Context, inventory: Inventory) -> None:
        """Raises Refused when what others made would be deleted for good with it."""

    def release(self, context: Context, inventory: Inventory, state: Object) -> None:
        """What stays is let go of before the deletion."""
        for links in self.links:
            # A create that failed half-way may have planned more than it attached.
            attached = [one for one in state[links.attribute] or [] if one in inventory.get(links.field, [])]
            self._relink(context, links, state["uuid"], attached, state | {links.attribute: []})

    def _relink(self, context: Context, links: Links, uuid: str, before: list[str], planned: Object) -> None:
        client: ControlPlane = context.client
        wished = planned[links.attribute] or []
        kind = "delete" if not wished else "update"
        for target in [one for one in before if one not in wished]:
            path = links.path.format(uuid=uuid, target=target)
            client.delete(links.detach, f"/{path}", timeout=self.limit(kind, planned))
        for target in [one for one in wished if one not in before]:
            path = links.path.format(uuid=uuid, target=target)
            client.create(links.attach, f"/{path}", {}, timeout=self.limit("update", planned))

    def _undo_create(self, context: Context, bare: Object, error: Exception) -> NoReturn:
        """Leave nothing behind when a later part of a create failed; else keep what is there in the state."""
        try:
            self.delete(context, bare)
        except Exception:
            raise Partial(error, bare) from error
        raise error

    # Reading.

    def noticed(self, state: Object) -> None:
        pending.here().forget(str(state.get("uuid")))

    def read(self, context: Context, state: Object) -> Object | None:
        inventory = context.client.find(self.collection, state["uuid"])
        if inventory is None or self.gone(inventory):
            return None
        return self.merge(context, inventory, state)

    def gone(self, inventory: Inventory) -> bool:
        """Whether an inventory that is still listed counts as absent."""
        return False

    def stands_alone(self, inventory: Inventory) -> bool:
        """Whether an inventory is a resource of its own, not a part of another."""
        return True

    def _present(self, context: Context, uuid: str, planned: Object) -> Object:
        """The state after a change: what was planned, with what only the control plane knows."""
        wished = {name: None if value is UNKNOWN else value for name, value in planned.items()}
        state = self.read(context, wished | {"uuid": uuid})
        if state is None:
            raise Refused(f"The {self.type_name} {uuid} disappeared", "It was removed by somebody else meanwhile.")
        # Terraform holds us to what was planned; what turned out otherwise shows in the next refresh.
        return state | {name: value for name, value in planned.items() if wholly_known(value)}

    def merge(self, context: Context, inventory: Inventory, state: Object) -> Object:
        """`inventory` as attributes; `state` is what was known or planned."""
        merged = dict(state)
        for name, attribute in self.schema.attributes.items():
            if name == "timeouts" or attribute.write_only:
                continue
            field = next((links.field for links in self.links if links.attribute == name), self.field(name))
            if field in inventory or name in (*self.named, "uuid") or attribute.computed:
                merged[name] = same_or(state.get(name), inventory.get(field))
        return merged

    def import_state(self, context: Context, identifier: str) -> Object:
        complaint = validate.uuid(identifier)
        if complaint:
            raise Refused("Cannot import", f"The id to import {self.type_name} by is its uuid. {complaint}")
        inventory = context.client.find(self.collection, identifier)
        if inventory is None or self.gone(inventory):
            raise Refused("Cannot import", f"There is no {self.type_name} with the uuid {identifier}.")
        return self.describe(context, inventory)

    def foresee(self, context: Context, inventories: Sequence[Inventory]) -> None:
        """All of these will be described next: a chance to fetch what that needs together."""

    def describe(self, context: Context, inventory: Inventory) -> Object:
        """The state of something that is in no configuration yet: all that is known."""
        empty: Object = dict.fromkeys(self.schema.attributes) | self.imported_defaults()
        return self.merge(context, inventory, empty | {"uuid": inventory["uuid"]})

    def moves_from(self) -> Mapping[str, Finder]:
        return MOVES.get(self.type_name, {})

    def imported_defaults(self) -> Object:
        return {name: one.default for name, one in self.schema.attributes.items() if one.default is not None}

    # Small print.

    def field(self, attribute: str) -> str:
        return self.names.get(attribute) or wire_name(attribute)

    def limit(self, kind: str, state: Object) -> float:
        """Seconds that a change may take."""
        written = (state.get("timeouts") or {}).get(kind)
        return validate.seconds(written or self.limits.get(kind, DEFAULT_TIMEOUT))


def same_or(written: Value, actual: Value) -> Value:
    """`written` when `actual` means the same: nothing may be said as null, "" or an empty collection."""
    if not written and not actual and not isinstance(actual, (bool, int)):
        return written
    if isinstance(written, list) and isinstance(actual, list) and sorted(map(str, written)) == sorted(map(str, actual)):
        return written
    return actual
