"""List resources (Terraform 1.14): `terraform query` finds what exists, in a configuration or not, each with its identity."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from itertools import islice
from typing import Any

from provider.framework.diagnostics import Diagnostics
from provider.framework.resource import ListResource, Resource
from provider.wire import identity, messages, values
from provider.wire import tfplugin6_pb2 as pb
from provider.wire.session import Session


class Lists:
    def __init__(self, session: Session, resources: Mapping[str, Resource]) -> None:
        self.session = session
        self.resources = resources

    @cached_property
    def all(self) -> dict[str, ListResource]:
        return {one.type_name: one for one in self.session.provider.list_resources}

    def handlers(self) -> dict[str, Callable[[Any], Any]]:
        return {"ValidateListResourceConfig": self.validate_list_resource_config}

    def validate_list_resource_config(self, request: Any) -> Any:
        schema = self.all[request.type_name].schema
        return self.session.validate(schema, request, pb.ValidateListResourceConfig.Response)

    def list_resource(self, request: Any) -> Iterator[Any]:
        """One message for each that is found, as it is found; an error is the last message."""
        listed, resource = self.all[request.type_name], self.resources[request.type_name]
        context, diagnostics = self.session.context(), Diagnostics()
        limit = request.limit if request.limit > 0 else None
        with self.session.reporting(listed.schema, diagnostics):
            # Terraform sends nothing where the block has no `config`.
            config = values.decode(request.config, listed.schema.type) or dict.fromkeys(listed.schema.attributes)
            whole = request.include_resource_object
            for found in islice(listed.list(context, config, whole=whole), limit):
                yield pb.ListResource.Event(
                    identity=identity.of(resource, found.state),
                    display_name=found.display_name,
                    resource_object=values.encode(found.state, resource.schema.type) if whole else None,
                )
        if diagnostics.items:
            yield pb.ListResource.Event(diagnostic=messages.diagnostics(diagnostics.items))
