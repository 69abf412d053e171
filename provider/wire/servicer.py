"""The calls of Terraform core, each one translated into a call of the framework and back.

What is stored (`stored`), listed (`listing`) and invoked (`acting`) has modules of its own.
"""

from collections.abc import Callable, Iterator
from typing import Any

from provider.framework.diagnostics import Diagnostics, Partial, Path
from provider.framework.function import Function, Wrong
from provider.framework.plan import Object, Plan, draft, replaced, unfilled
from provider.framework.resource import DataSource, EphemeralResource, Provider, Resource
from provider.framework.types import UNKNOWN, Value, wholly_known
from provider.wire import identity, messages, values
from provider.wire import tfplugin6_pb2 as pb
from provider.wire.acting import Actions
from provider.wire.listing import Lists
from provider.wire.session import Session, dump, load, log
from provider.wire.stored import Stored, must_have_been_read


class Servicer:
    """One running provider; calls come from many threads at once."""

    def __init__(self, provider: Provider) -> None:
        self.session = Session(provider)
        self.resources: dict[str, Resource] = {resource.type_name: resource for resource in provider.resources}
        self.data_sources: dict[str, DataSource] = {source.type_name: source for source in provider.data_sources}
        self.functions: dict[str, Function] = {function.name: function for function in provider.functions}
        self.ephemeral: dict[str, EphemeralResource] = {one.type_name: one for one in provider.ephemeral_resources}
        self.stored = Stored(self.session, self.resources)
        self.lists = Lists(self.session, self.resources)
        self.actions = Actions(self.session)

    def handlers(self) -> dict[str, tuple[Callable[[Any], Any], Any]]:
        """Every call by its name on the wire, with its request type."""
        calls: dict[str, Callable[[Any], Any]] = {
            "GetMetadata": self.get_metadata,
            "GetProviderSchema": self.get_provider_schema,
            "ValidateProviderConfig": self.validate_provider_config,
            "ValidateResourceConfig": self.validate_resource_config,
            "ValidateDataResourceConfig": self.validate_data_resource_config,
            "GetResourceIdentitySchemas": self.get_resource_identity_schemas,
            "ConfigureProvider": self.configure_provider,
            "ReadResource": self.read_resource,
            "PlanResourceChange": self.plan_resource_change,
            "ApplyResourceChange": self.apply_resource_change,
            "ImportResourceState": self.import_resource_state,
            "ReadDataSource": self.read_data_source,
            "GetFunctions": self.get_functions,
            "CallFunction": self.call_function,
            "ValidateEphemeralResourceConfig": self.validate_ephemeral_resource_config,
            "OpenEphemeralResource": self.open_ephemeral_resource,
            "CloseEphemeralResource": self.close_ephemeral_resource,
            "StopProvider": self.stop_provider,
        }
        calls |= self.stored.handlers() | self.lists.handlers() | self.actions.handlers()
        return {name: (call, getattr(pb, name).Request) for name, call in calls.items()}

    def streams(self) -> dict[str, tuple[Callable[[Any], Iterator[Any]], Any]]:
        """Every call that answers with many messages."""
        return {
            "ListResource": (self.lists.list_resource, pb.ListResource.Request),
            "InvokeAction": (self.actions.invoke_action, pb.InvokeAction.Request),
        }

    # What there is.

    def get_metadata(self, _request: Any) -> Any:
        names = pb.GetMetadata.TypeName
        return pb.GetMetadata.Response(
            server_capabilities=self._capabilities(),
            resources=[names(type_name=name) for name in sorted(self.resources)],
            data_sources=[names(type_name=name) for name in sorted(self.data_sources)],
            functions=[pb.GetMetadata.FunctionName(name=name) for name in sorted(self.functions)],
            ephemeral_resources=[names(type_name=name) for name in sorted(self.ephemeral)],
            list_resources=[names(type_name=name) for name in sorted(self.lists.all)],
            actions=[names(type_name=name) for name in sorted(self.actions.all)],
        )

    def get_provider_schema(self, _request: Any) -> Any:
        return pb.GetProviderSchema.Response(
            provider=messages.schema(self.session.provider.schema),
            resource_schemas={name: messages.schema(one.schema) for name, one in self.resources.items()},
            data_source_schemas={name: messages.schema(one.schema) for name, one in self.data_sources.items()},
            ephemeral_resource_schemas={name: messages.schema(one.schema) for name, one in self.ephemeral.items()},
            list_resource_schemas={name: messages.schema(one.schema) for name, one in self.lists.all.items()},
            action_schemas={
                name: pb.ActionSchema(schema=messages.schema(one.schema)) for name, one in self.actions.all.items()
            },
            server_capabilities=self._capabilities(),
            functions=self._functions(),
        )

    def get_resource_identity_schemas(self, _request: Any) -> Any:
        return pb.GetResourceIdentitySchemas.Response(identity_schemas=identity.schemas(self.resources.values()))

    def get_functions(self, _request: Any) -> Any:
        return pb.GetFunctions.Response(functions=self._functions())

    def _functions(self) -> dict[str, pb.Function]:
        return {name: messages.function(one) for name, one in self.functions.items()}

    def _capabilities(self) -> pb.ServerCapabilities:
        return pb.ServerCapabilities(
            get_provider_schema_optional=True,
            plan_destroy=True,
            move_resource_state=True,
            generate_resource_config=True,
        )

    # Is the configuration right?

    def validate_provider_config(self, request: Any) -> Any:
        return self.session.validate(self.session.provider.schema, request, pb.ValidateProviderConfig.Response)

    def validate_resource_config(self, request: Any) -> Any:
        schema = self.resources[request.type_name].schema
        kept = not request.client_capabilities.write_only_attributes_allowed
        return self.session.validate(schema, request, pb.ValidateResourceConfig.Response, keeps_everything=kept)

    def validate_data_resource_config(self, request: Any) -> Any:
        schema = self.data_sources[request.type_name].schema
        return self.session.validate(schema, request, pb.ValidateDataResourceConfig.Response)

    def validate_ephemeral_resource_config(self, request: Any) -> Any:
        schema = self.ephemeral[request.type_name].schema
        return self.session.validate(schema, request, pb.ValidateEphemeralResourceConfig.Response)

    def configure_provider(self, request: Any) -> Any:
        session, diagnostics = self.session, Diagnostics()
        schema = session.provider.schema
        session.stop.clear()  # a debugged provider outlives the command that was interrupted
        with session.reporting(schema, diagnostics):
            config = values.decode(request.config, schema.type)
            waits = request.client_capabilities.deferral_allowed and not wholly_known(config)
            session.deferred = "provider config unknown" if waits else None
            session.client = None if waits else session.provider.configure(config, session.stop, diagnostics)
        return pb.ConfigureProvider.Response(diagnostics=messages.diagnostics(diagnostics.items))

    # State.

    def read_resource(self, request: Any) -> Any:
        resource, context = self.resources[request.type_name], self.session.context(request.private)
        type_ = resource.schema.type
        new_state, known = request.current_state, None
        deferred = messages.deferred(self.session.deferred)
        if deferred is None:
            with self.session.reporting(resource.schema, context.diagnostics):
                found = self.stored.taken_over(resource, context)
                if found is None:
                    found = resource.read(context, values.decode(request.current_state, type_))
                new_state, known = values.encode(found, type_), identity.of(resource, found)
        return pb.ReadResource.Response(
            new_state=new_state,
            new_identity=known,
            private=dump(context.private),
            deferred=deferred,
            diagnostics=messages.diagnostics(context.diagnostics.items),
        )

    def import_resource_state(self, request: Any) -> Any:
        resource, context = self.resources[request.type_name], self.session.context()
        imported = []
        deferred = messages.deferred(self.session.deferred)
        with self.session.reporting(resource.schema, context.diagnostics):
            identifier = identity.identifier(resource, request)
            state = resource.import_state(context, identifier) if deferred is None else UNKNOWN
            imported.append(
                pb.ImportResourceState.ImportedResource(
                    type_name=request.type_name,
                    state=values.encode(state, resource.schema.type),
                    private=dump(context.private),
                    identity=identity.of(resource, state),
                )
            )
        return pb.ImportResourceState.Response(
            imported_resources=imported,
            deferred=deferred,
            diagnostics=messages.diagnostics(context.diagnostics.items),
        )

    def read_data_source(self, request: Any) -> Any:
        source, context = self.data_sources[request.type_name], self.session.context()
        state, deferred = None, messages.deferred(self.session.deferred)
        with self.session.reporting(source.schema, context.diagnostics):
            config = values.decode(request.config, source.schema.type)
            found = source.read(context, config) if deferred is None else unfilled(source.schema, config)
            state = values.encode(found, source.schema.type)
        return pb.ReadDataSource.Response(
            state=state, deferred=deferred, diagnostics=messages.diagnostics(context.diagnostics.items)
        )

    def call_function(self, request: Any) -> Any:
        function = self.functions[request.name]
        try:
            arguments = [
                values.decode_any(given) if parameter.type is None else values.decode(given, parameter.type)
                for given, parameter in zip(request.arguments, function.parameters, strict=True)
            ]
            return pb.CallFunction.Response(result=values.encode(function.call(arguments), function.returns))
        except Wrong as wrong:
            return pb.CallFunction.Response(error=pb.FunctionError(text=str(wrong), function_argument=wrong.argument))
        except Exception as error:
            log.error("unexpected %s", type(error).__name__, exc_info=error)
            text = f"the provider failed unexpectedly: {type(error).__name__}: {error}; please report it"
            return pb.CallFunction.Response(error=pb.FunctionError(text=text))

    # What lives as long as one command.

    def open_ephemeral_resource(self, request: Any) -> Any:
        one, context = self.ephemeral[request.type_name], self.session.context()
        result, deferred = None, messages.deferred(self.session.deferred)
        with self.session.reporting(one.schema, context.diagnostics):
            config = values.decode(request.config, one.schema.type)
            opened = one.open(context, config) if deferred is None else unfilled(one.schema, config)
            result = values.encode(opened, one.schema.type)
        return pb.OpenEphemeralResource.Response(
            result=result,
            deferred=deferred,
            private=dump(context.private),
            diagnostics=messages.diagnostics(context.diagnostics.items),
        )

    def close_ephemeral_resource(self, request: Any) -> Any:
        one, context = self.ephemeral[request.type_name], self.session.context(request.private)
        with self.session.reporting(one.schema, context.diagnostics):
            one.close(context)
        return pb.CloseEphemeralResource.Response(diagnostics=messages.diagnostics(context.diagnostics.items))

    # Change.

    def plan_resource_change(self, request: Any) -> Any:
        session, resource, diagnostics = self.session, self.resources[request.type_name], Diagnostics()
        schema, private = resource.schema, load(request.prior_private)
        planned_state, replace, known, deferred = request.proposed_new_state, [], None, session.deferred
        with session.reporting(schema, diagnostics):
            proposed = values.decode(request.proposed_new_state, schema.type)
            prior = values.decode(request.prior_state, schema.type)
            must_have_been_read(resource, private)
            if proposed is None:
                _must_not_be_guarded(resource, prior or {}, [])
            else:
                config = values.decode(request.config, schema.type)
                planned = draft(schema, config, prior, proposed)
                may_wait = request.client_capabilities.deferral_allowed
                plan = Plan(config, prior, planned, private, diagnostics, client=session.client, may_wait=may_wait)
                if deferred is None:
                    resource.modify_plan(plan)
                    deferred = plan.deferred
                if prior is not None:
                    replace = replaced(schema.attributes, prior, plan.planned) + plan.replace
                    if replace and not diagnostics.failed:
                        _must_not_be_guarded(resource, prior, replace)
                planned_state = values.encode(plan.planned, schema.type)
                known = identity.of(resource, plan.planned)
        return pb.PlanResourceChange.Response(
            planned_state=planned_state,
            planned_identity=known,
            requires_replace=[messages.path(path) for path in replace],
            planned_private=dump(private),
            deferred=messages.deferred(deferred),
            diagnostics=messages.diagnostics(diagnostics.items),
        )

    def apply_resource_change(self, request: Any) -> Any:
        resource, context = self.resources[request.type_name], self.session.context(request.planned_private)
        schema = resource.schema
        prior: Object | None = values.decode(request.prior_state, schema.type)
        planned: Object | None = values.decode(request.planned_state, schema.type)
        context.config = values.decode(request.config, schema.type) or {}
        state: Value = prior
        with self.session.busy(), self.session.reporting(schema, context.diagnostics) as report:
            try:
                if planned is None:
                    _must_not_be_guarded(resource, prior or {}, [])  # a plan may have been made to replace it
                    resource.delete(context, prior or {})
                    state = None
                elif prior is None:
                    state = resource.create(context, planned)
                else:
                    state = resource.update(context, prior, planned)
            except Partial as partial:
                state = partial.state
                report(partial.cause)
        context.diagnostics.items += self.session.provider.remarks(self.session.client, context.config).items
        return pb.ApplyResourceChange.Response(
            new_state=values.encode(state, schema.type),
            new_identity=identity.of(resource, state),
            private=dump(context.private),
            diagnostics=messages.diagnostics(context.diagnostics.items),
        )

    def stop_provider(self, _request: Any) -> Any:
        log.info("Terraform asks to stop")
        self.session.stop.set()
        return pb.StopProvider.Response()


def _must_not_be_guarded(resource: Resource, state: Object, because: list[Path]) -> None:
    refusal = resource.guarded(state, because)
    if refusal is not None:
        raise refusal
