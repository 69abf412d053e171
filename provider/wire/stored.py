"""What Terraform has stored and this version did not write: upgrades, moves from other resources, generated configuration.

A move happens before the provider is configured, so nobody can be asked. The moved state holds the identity alone and a
note in its private data; the next read takes everything over as an import does. Before that read nothing is planned.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from provider.framework import stored
from provider.framework.diagnostics import Diagnostics, Refused
from provider.framework.plan import Object
from provider.framework.resource import Context, Resource
from provider.framework.types import Value
from provider.wire import identity, messages, values
from provider.wire import tfplugin6_pb2 as pb
from provider.wire.session import Session, dump

MOVED = "moved"  # private data: where from, and the id to import by


class Stored:
    def __init__(self, session: Session, resources: Mapping[str, Resource]) -> None:
        self.session = session
        self.resources = resources

    def handlers(self) -> dict[str, Callable[[Any], Any]]:
        return {
            "UpgradeResourceState": self.upgrade_resource_state,
            "UpgradeResourceIdentity": self.upgrade_resource_identity,
            "MoveResourceState": self.move_resource_state,
            "GenerateResourceConfig": self.generate_resource_config,
        }

    def upgrade_resource_state(self, request: Any) -> Any:
        resource, diagnostics = self.resources[request.type_name], Diagnostics()
        state = None
        with self.session.reporting(resource.schema, diagnostics):
            raw = stored.upgraded(resource, request.version, json.loads(request.raw_state.json))
            found = values.from_raw(raw, resource.schema.type)
            resource.noticed(found)
            state = values.encode(found, resource.schema.type)
        return pb.UpgradeResourceState.Response(
            upgraded_state=state, diagnostics=messages.diagnostics(diagnostics.items)
        )

    def upgrade_resource_identity(self, request: Any) -> Any:
        resource, diagnostics = self.resources[request.type_name], Diagnostics()
        upgraded = None
        with self.session.reporting(resource.schema, diagnostics):
            upgraded = identity.upgraded(resource, request.raw_identity.json)
        return pb.UpgradeResourceIdentity.Response(
            upgraded_identity=upgraded, diagnostics=messages.diagnostics(diagnostics.items)
        )

    def move_resource_state(self, request: Any) -> Any:
        resource, diagnostics = self.resources[request.target_type_name], Diagnostics()
        state, private, known = None, b"", None
        with self.session.reporting(resource.schema, diagnostics):
            raw = json.loads(request.source_state.json)
            source = stored.Source(request.source_provider_address, request.source_type_name, raw)
            identifier = stored.moved(resource, source)
            found: Object = identity.parts(resource, identifier)
            state, known = values.encode(found, resource.schema.type), identity.of(resource, found)
            private = dump({MOVED: [source.type_name, identifier]})
        return pb.MoveResourceState.Response(
            target_state=state,
            target_private=private,
            target_identity=known,
            diagnostics=messages.diagnostics(diagnostics.items),
        )

    def taken_over(self, resource: Resource, context: Context) -> Value:
        """Everything about what was moved here and has not been read yet; None: nothing was."""
        if MOVED not in context.private:
            return None
        source, identifier = context.private.pop(MOVED)
        try:
            return resource.import_state(context, identifier)
        except Refused as refusal:
            why = f"{refusal.diagnostic.detail} The {source} that was moved here must be one of this cloud."
            raise Refused(f"Cannot take over the {source}", why) from refusal

    def generate_resource_config(self, request: Any) -> Any:
        resource, diagnostics = self.resources[request.type_name], Diagnostics()
        config = None
        with self.session.reporting(resource.schema, diagnostics):
            state = values.decode(request.state, resource.schema.type)
            config = values.encode(resource.configuration(state), resource.schema.type)
        return pb.GenerateResourceConfig.Response(config=config, diagnostics=messages.diagnostics(diagnostics.items))


def must_have_been_read(resource: Resource, private: dict[str, Value]) -> None:
    if MOVED in private:
        source, identifier = private[MOVED]
        raise Refused(
            "What was moved has not been read yet",
            f"All that is known of the {resource.type_name} {identifier}, which was a {source}, is its id: plan without "
            "-refresh=false once.",
        )
