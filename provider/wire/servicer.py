"""The calls of Terraform core, each one translated into a call of the framework and back.

An exception never leaves a call: known ones become diagnostics by the provider's `explain`, surprises become a
diagnostic that asks for a report, with the traceback in the log.
"""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from provider.framework.diagnostics import Diagnostics, Partial, Path, Refused
from provider.framework.function import Function, Wrong
from provider.framework.plan import Object, Plan, draft, replaced
from provider.framework.resource import Context, DataSource, EphemeralResource, Provider, Resource
from provider.framework.schema import Schema
from provider.framework.types import Value
from provider.framework.validate import check
from provider.wire import identity, messages, values
from provider.wire import tfplugin6_pb2 as pb

log = logging.getLogger("provider.wire")


class Servicer:
    """One running provider; calls come from many threads at once."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.resources: dict[str, Resource] = {resource.type_name: resource for resource in provider.resources}
        self.data_sources: dict[str, DataSource] = {source.type_name: source for source in provider.data_sources}
        self.functions: dict[str, Function] = {function.name: function for function in provider.functions}
        self.ephemeral: dict[str, EphemeralResource] = {one.type_name: one for one in provider.ephemeral_resources}
        self.stop = threading.Event()
        self.client: Any = None
        self._running = 0
        self._lock = threading.Lock()
        self.idle = threading.Event()  # set while no change runs
        self.idle.set()

    def handlers(self) -> dict[str, tuple[Callable[[Any], Any], Any]]:
        """Every call by its name on the wire, with its request type."""
        calls: dict[str, Callable[[Any], Any]] = {
            "GetMetadata": self.get_metadata,
            "GetProviderSchema": self.get_provider_schema,
            "ValidateProviderConfig": self.validate_provider_config,
            "ValidateResourceConfig": self.validate_resource_config,
            "ValidateDataResourceConfig": self.validate_data_resource_config,
            "UpgradeResourceState": self.upgrade_resource_state,
            "GetResourceIdentitySchemas": self.get_resource_identity_schemas,
            "UpgradeResourceIdentity": self.upgrade_resource_identity,
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
        return {name: (call, getattr(pb, name).Request) for name, call in calls.items()}

    # What there is.

    def get_metadata(self, _request: Any) -> Any:
        names = pb.GetMetadata.TypeName
        return pb.GetMetadata.Response(
            server_capabilities=self._capabilities(),
            resources=[names(type_name=name) for name in sorted(self.resources)],
            data_sources=[names(type_name=name) for name in sorted(self.data_sources)],
            functions=[pb.GetMetadata.FunctionName(name=name) for name in sorted(self.functions)],
            ephemeral_resources=[names(type_name=name) for name in sorted(self.ephemeral)],
        )

    def get_provider_schema(self, _request: Any) -> Any:
        return pb.GetProviderSchema.Response(
            provider=messages.schema(self.provider.schema),
            resource_schemas={name: messages.schema(one.schema) for name, one in self.resources.items()},
            data_source_schemas={name: messages.schema(one.schema) for name, one in self.data_sources.items()},
            ephemeral_resource_schemas={name: messages.schema(one.schema) for name, one in self.ephemeral.items()},
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
        return pb.ServerCapabilities(get_provider_schema_optional=True, plan_destroy=True)

    # Is the configuration right?

    def validate_provider_config(self, request: Any) -> Any:
        return self._validate(self.provider.schema, request, pb.ValidateProviderConfig.Response)

    def validate_resource_config(self, request: Any) -> Any:
        schema = self.resources[request.type_name].schema
        return self._validate(schema, request, pb.ValidateResourceConfig.Response)

    def validate_data_resource_config(self, request: Any) -> Any:
        schema = self.data_sources[request.type_name].schema
        return self._validate(schema, request, pb.ValidateDataResourceConfig.Response)

    def validate_ephemeral_resource_config(self, request: Any) -> Any:
        schema = self.ephemeral[request.type_name].schema
        return self._validate(schema, request, pb.ValidateEphemeralResourceConfig.Response)

    def _validate(self, schema: Schema, request: Any, response: Any) -> Any:
        diagnostics = Diagnostics()
        with self._reporting(schema, diagnostics):
            check(schema, values.decode(request.config, schema.type), diagnostics)
        return response(diagnostics=messages.diagnostics(diagnostics.items))

    def configure_provider(self, request: Any) -> Any:
        diagnostics = Diagnostics()
        schema = self.provider.schema
        self.stop.clear()  # a debugged provider outlives the command that was interrupted
        with self._reporting(schema, diagnostics):
            config = values.decode(request.config, schema.type)
            self.client = self.provider.configure(config, self.stop, diagnostics)
        return pb.ConfigureProvider.Response(diagnostics=messages.diagnostics(diagnostics.items))

    # State.

    def upgrade_resource_state(self, request: Any) -> Any:
        schema, diagnostics = self.resources[request.type_name].schema, Diagnostics()
        upgraded = None
        with self._reporting(schema, diagnostics):
            if request.version > schema.version:
                raise Refused(
                    "State of a newer provider",
                    f"The state has version {request.version}, this provider knows {schema.version}: upgrade it.",
                )
            state = values.from_json(request.raw_state.json, schema.type)
            self.resources[request.type_name].noticed(state)
            upgraded = values.encode(state, schema.type)
        return pb.UpgradeResourceState.Response(
            upgraded_state=upgraded, diagnostics=messages.diagnostics(diagnostics.items)
        )

    def upgrade_resource_identity(self, request: Any) -> Any:
        resource, diagnostics = self.resources[request.type_name], Diagnostics()
        upgraded = None
        with self._reporting(resource.schema, diagnostics):
            upgraded = identity.upgraded(resource, request.raw_identity.json)
        return pb.UpgradeResourceIdentity.Response(
            upgraded_identity=upgraded, diagnostics=messages.diagnostics(diagnostics.items)
        )

    def read_resource(self, request: Any) -> Any:
        resource, context = self.resources[request.type_name], self._context(request.private)
        type_ = resource.schema.type
        new_state, known = request.current_state, None
        with self._reporting(resource.schema, context.diagnostics):
            found = resource.read(context, values.decode(request.current_state, type_))
            new_state, known = values.encode(found, type_), identity.of(resource, found)
        return pb.ReadResource.Response(
            new_state=new_state,
            new_identity=known,
            private=_dump(context.private),
            diagnostics=messages.diagnostics(context.diagnostics.items),
        )

    def import_resource_state(self, request: Any) -> Any:
        resource, context = self.resources[request.type_name], self._context(b"")
        imported = []
        with self._reporting(resource.schema, context.diagnostics):
            state = resource.import_state(context, identity.identifier(resource, request))
            imported.append(
                pb.ImportResourceState.ImportedResource(
                    type_name=request.type_name,
                    state=values.encode(state, resource.schema.type),
                    private=_dump(context.private),
                    identity=identity.of(resource, state),
                )
            )
        return pb.ImportResourceState.Response(
            imported_resources=imported, diagnostics=messages.diagnostics(context.diagnostics.items)
        )

    def read_data_source(self, request: Any) -> Any:
        source, context = self.data_sources[request.type_name], self._context(b"")
        state = None
        with self._reporting(source.schema, context.diagnostics):
            config = values.decode(request.config, source.schema.type)
            state = values.encode(source.read(context, config), source.schema.type)
        return pb.ReadDataSource.Response(state=state, diagnostics=messages.diagnostics(context.diagnostics.items))

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
        one, context = self.ephemeral[request.type_name], self._context(b"")
        result = None
        with self._reporting(one.schema, context.diagnostics):
            config = values.decode(request.config, one.schema.type)
            result = values.encode(one.open(context, config), one.schema.type)
        return pb.OpenEphemeralResource.Response(
            result=result,
            private=_dump(context.private),
            diagnostics=messages.diagnostics(context.diagnostics.items),
        )

    def close_ephemeral_resource(self, request: Any) -> Any:
        one, context = self.ephemeral[request.type_name], self._context(request.private)
        with self._reporting(one.schema, context.diagnostics):
            one.close(context)
        return pb.CloseEphemeralResource.Response(diagnostics=messages.diagnostics(context.diagnostics.items))

    # Change.

    def plan_resource_change(self, request: Any) -> Any:
        resource, diagnostics = self.resources[request.type_name], Diagnostics()
        schema, private = resource.schema, _load(request.prior_private)
        planned_state, replace, known = request.proposed_new_state, [], None
        with self._reporting(schema, diagnostics):
            proposed = values.decode(request.proposed_new_state, schema.type)
            prior = values.decode(request.prior_state, schema.type)
            if proposed is None:
                _must_not_be_guarded(resource, prior or {}, [])
            else:
                config = values.decode(request.config, schema.type)
                planned = draft(schema, config, prior, proposed)
                plan = Plan(config, prior, planned, private, diagnostics, client=self.client)
                resource.modify_plan(plan)
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
            planned_private=_dump(private),
            diagnostics=messages.diagnostics(diagnostics.items),
        )

    def apply_resource_change(self, request: Any) -> Any:
        resource, context = self.resources[request.type_name], self._context(request.planned_private)
        schema = resource.schema
        prior: Object | None = values.decode(request.prior_state, schema.type)
        planned: Object | None = values.decode(request.planned_state, schema.type)
        context.config = values.decode(request.config, schema.type) or {}
        state: Value = prior
        with self._busy(), self._reporting(schema, context.diagnostics) as report:
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
        context.diagnostics.items += self.provider.remarks(self.client, context.config).items
        return pb.ApplyResourceChange.Response(
            new_state=values.encode(state, schema.type),
            new_identity=identity.of(resource, state),
            private=_dump(context.private),
            diagnostics=messages.diagnostics(context.diagnostics.items),
        )

    def stop_provider(self, _request: Any) -> Any:
        log.info("Terraform asks to stop")
        self.stop.set()
        return pb.StopProvider.Response()

    def _context(self, private: bytes) -> Context:
        return Context(self.client, self.stop, _load(private))

    @contextmanager
    def _busy(self) -> Iterator[None]:
        with self._lock:
            self._running += 1
            self.idle.clear()
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
                if self._running == 0:
                    self.idle.set()

    @contextmanager
    def _reporting(self, schema: Schema, diagnostics: Diagnostics) -> Iterator[Callable[[Exception], None]]:
        """Turn what goes wrong inside into diagnostics."""

        def report(error: Exception) -> None:
            if isinstance(error, Refused):
                diagnostics.items.append(error.diagnostic)
                return
            known = self.provider.explain(error, schema)
            if known is not None:
                diagnostics.items += known.items
                return
            log.error("unexpected %s", type(error).__name__, exc_info=error)
            diagnostics.error(
                "The provider failed unexpectedly",
                f"{type(error).__name__}: {error}\nThis is a defect of the provider: please report it with the log "
                "that TF_LOG=DEBUG writes.",
            )

        try:
            yield report
        except Exception as error:
            report(error)


def _must_not_be_guarded(resource: Resource, state: Object, because: list[Path]) -> None:
    refusal = resource.guarded(state, because)
    if refusal is not None:
        raise refusal


def _load(private: bytes) -> dict[str, Value]:
    return json.loads(private) if private else {}


def _dump(private: dict[str, Value]) -> bytes:
    return json.dumps(private).encode() if private else b""
