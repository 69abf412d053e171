"""A provider without a control plane: it exercises every rule of the framework through real terraform."""

import threading
from typing import Any

from provider.framework import validate
from provider.framework.diagnostics import Diagnostics, Partial, Refused
from provider.framework.plan import Object, Plan
from provider.framework.resource import Context, Resource
from provider.framework.schema import Nested, Schema, computed, optional, required
from provider.framework.types import BOOL, NUMBER, STRING, list_of, map_of, set_of

PARTS = Nested(
    "list",
    {
        "size": required(NUMBER, "", validators=(validate.between(1, 9),)),
        "kind": optional(STRING, "", default="plain"),
        "fixed": optional(STRING, "", replace=True),
        "serial": computed(STRING, ""),
    },
)


class Ticket:
    """An ephemeral resource that knows whether it was closed."""

    type_name = "toy_ticket"
    schema = Schema({"who": required(STRING, "", validators=(validate.length(1, 8),)), "token": computed(STRING, "")})

    def __init__(self) -> None:
        self.open_ones: set[str] = set()
        self.all: list[str] = []

    def open(self, context: Context, config: Object) -> Object:
        if config["who"] == "nobody":
            raise Refused("No ticket", "nobody gets none", ("who",))
        token = f"{config['who']}-{len(self.all)}"
        self.all.append(token)
        self.open_ones.add(token)
        context.private["token"] = token
        return config | {"token": token}

    def close(self, context: Context) -> None:
        self.open_ones.remove(context.private["token"])


class Thing(Resource):
    type_name = "toy_thing"
    schema = Schema(
        {
            "id": computed(STRING, ""),
            "name": required(STRING, "", validators=(validate.length(1, 8),)),
            "place": optional(STRING, "", replace=True),
            "level": optional(NUMBER, "", default=3),
            "ratio": optional(NUMBER, ""),
            "flag": optional(BOOL, "", default=True),
            "words": optional(list_of(STRING), "", validators=(validate.each(validate.one_of("a", "b")),)),
            "tags": optional(set_of(STRING), ""),
            "labels": optional(map_of(STRING), ""),
            "parts": optional(PARTS, ""),
            "by_name": optional(Nested("map", {"n": required(NUMBER, ""), "got": computed(NUMBER, "")}), ""),
            "members": optional(Nested("set", {"who": required(STRING, "")}), ""),
            "secret": optional(STRING, "", write_only=True, sensitive=True),
            "revision": computed(NUMBER, "", keep=False),
            "guessed": optional(STRING, "", computed=True, keep=True),
        }
    )

    def __init__(self) -> None:
        self.store: dict[str, Object] = {}
        self.seen_secrets: list[Any] = []
        self.seen_private: list[Any] = []
        self.planned_private: list[Any] = []
        self.started = threading.Event()

    def modify_plan(self, plan: Plan) -> None:
        if plan.prior is None:
            plan.private.setdefault("key", f"key-{len(self.planned_private)}")
        self.planned_private.append(dict(plan.private))

    def create(self, context: Context, planned: Object) -> Object:
        self.seen_secrets.append(context.config["secret"])
        self.seen_private.append(dict(context.private))
        match planned["name"]:
            case "refused":
                raise Refused("No such place", "nowhere is no place", ("place",))
            case "half":
                raise Partial(Refused("Half done"), self._finish(planned, 1) | {"id": "half"})
            case "broken":
                raise RuntimeError("a surprise")
            case "slow":
                self.started.set()
                assert context.stop.wait(30)
                raise Refused("Stopped on request", "nothing is left")
        state = self._finish(planned, 1) | {"id": f"id-{len(self.store)}"}
        self.store[state["id"]] = state
        return state

    def _finish(self, planned: Object, revision: int) -> Object:
        state = planned | {"revision": revision}
        if not isinstance(planned["guessed"], str):
            state["guessed"] = "a guess"
        if planned["parts"] is not None:
            state["parts"] = [part | {"serial": f"s{index}"} for index, part in enumerate(planned["parts"])]
        if planned["by_name"] is not None:
            state["by_name"] = {key: one | {"got": one["n"]} for key, one in planned["by_name"].items()}
        return state

    def read(self, context: Context, state: Object) -> Object | None:
        return self.store.get(state["id"])

    def update(self, context: Context, prior: Object, planned: Object) -> Object:
        state = self._finish(planned, prior["revision"] + 1)
        self.store[state["id"]] = state
        return state

    def delete(self, context: Context, state: Object) -> None:
        self.store.pop(state["id"], None)

    def import_state(self, context: Context, identifier: str) -> Object:
        if identifier not in self.store:
            raise Refused("Cannot import", f"there is no thing {identifier}")
        return self.store[identifier]


class Echo:
    """A data source."""

    type_name = "toy_echo"
    schema = Schema({"say": required(STRING, ""), "heard": computed(STRING, "")})

    def read(self, context: Context, config: Object) -> Object:
        return config | {"heard": config["say"].upper()}


class Toy:
    schema = Schema({"greeting": optional(STRING, "")})

    def __init__(self) -> None:
        self.thing = Thing()
        self.resources = (self.thing,)
        self.data_sources = (Echo(),)
        self.functions = ()
        self.ephemeral_resources = (Ticket(),)
        self.list_resources = ()
        self.actions = ()

    def configure(self, config: Object, stop: threading.Event, diagnostics: Diagnostics) -> object:
        if config["greeting"] == "rude":
            diagnostics.error("Rude", "be nice", ("greeting",))
        return object()

    def release(self, client: object, *, in_good_order: bool) -> None:
        pass

    def explain(self, error: Exception, schema: Schema) -> Diagnostics | None:
        return None

    def remarks(self, client: object, config: Object) -> Diagnostics:
        return Diagnostics()
