"""Actions (Terraform 1.14): what is done at a moment and leaves nothing to declare, with its progress told meanwhile."""

import queue
import threading
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from provider.framework.resource import Action
from provider.framework.types import wholly_known
from provider.wire import messages, values
from provider.wire import tfplugin6_pb2 as pb
from provider.wire.session import Session


class Actions:
    def __init__(self, session: Session) -> None:
        self.session = session

    @cached_property
    def all(self) -> dict[str, Action]:
        return {one.type_name: one for one in self.session.provider.actions}

    def handlers(self) -> dict[str, Callable[[Any], Any]]:
        return {"ValidateActionConfig": self.validate_action_config, "PlanAction": self.plan_action}

    def validate_action_config(self, request: Any) -> Any:
        schema = self.all[request.action_type].schema
        return self.session.validate(schema, request, pb.ValidateActionConfig.Response)

    def plan_action(self, request: Any) -> Any:
        """What is not known yet cannot be checked yet: the invocation does."""
        action, context = self.all[request.action_type], self.session.context()
        with self.session.reporting(action.schema, context.diagnostics):
            config = values.decode(request.config, action.schema.type)
            if self.session.deferred is None and wholly_known(config):
                action.plan(context, config)
        return pb.PlanAction.Response(
            deferred=messages.deferred(self.session.deferred),
            diagnostics=messages.diagnostics(context.diagnostics.items),
        )

    def invoke_action(self, request: Any) -> Iterator[Any]:
        """A message for each step of the way, then one with how it ended. It ends by itself even if nobody listens."""
        events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self._invoke, args=(request, events), daemon=True).start()
        while True:
            event = events.get()
            yield event
            if event.HasField("completed"):
                return

    def _invoke(self, request: Any, events: "queue.SimpleQueue[Any]") -> None:
        kinds = pb.InvokeAction.Event
        action, context = self.all[request.action_type], self.session.context()

        def tell(message: str) -> None:
            events.put(kinds(progress=kinds.Progress(message=message)))

        try:
            with self.session.busy(), self.session.reporting(action.schema, context.diagnostics):
                config = values.decode(request.config, action.schema.type)
                action.invoke(context, config, tell)
                context.diagnostics.items += self.session.provider.remarks(context.client, config).items
        finally:
            told = messages.diagnostics(context.diagnostics.items)
            events.put(kinds(completed=kinds.Completed(diagnostics=told)))
