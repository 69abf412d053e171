"""Schemas and diagnostics as protobuf."""

import json
from collections.abc import Iterable

from provider.framework.diagnostics import Diagnostic, Path
from provider.framework.function import Function
from provider.framework.plan import Deferral
from provider.framework.schema import Attr, Nested, Schema
from provider.framework.types import Type
from provider.wire import tfplugin6_pb2 as pb

_NESTING = {
    "single": pb.Schema.Object.SINGLE,
    "list": pb.Schema.Object.LIST,
    "set": pb.Schema.Object.SET,
    "map": pb.Schema.Object.MAP,
}
_REASON = {
    "resource config unknown": pb.Deferred.RESOURCE_CONFIG_UNKNOWN,
    "provider config unknown": pb.Deferred.PROVIDER_CONFIG_UNKNOWN,
    "absent prerequisite": pb.Deferred.ABSENT_PREREQ,
}
_SEVERITY = {"error": pb.Diagnostic.ERROR, "warning": pb.Diagnostic.WARNING}


def schema(source: Schema) -> pb.Schema:
    block = pb.Schema.Block(
        version=source.version,
        attributes=_attributes(source.attributes),
        description=source.description,
        description_kind=pb.MARKDOWN,
    )
    return pb.Schema(version=source.version, block=block)


def _attributes(attributes: dict[str, Attr]) -> list[pb.Schema.Attribute]:
    return [_attribute(name, attribute) for name, attribute in sorted(attributes.items())]


def _attribute(name: str, attribute: Attr) -> pb.Schema.Attribute:
    message = pb.Schema.Attribute(
        name=name,
        description=attribute.description,
        description_kind=pb.MARKDOWN,
        required=attribute.required,
        optional=attribute.optional,
        computed=attribute.is_computed,
        sensitive=attribute.sensitive,
        write_only=attribute.write_only,
    )
    if isinstance(attribute.shape, Nested):
        nested = attribute.shape
        message.nested_type.CopyFrom(
            pb.Schema.Object(attributes=_attributes(nested.attributes), nesting=_NESTING[nested.nesting])
        )
    else:
        message.type = spelled(attribute.shape)
    return message


def function(source: Function) -> pb.Function:
    message = pb.Function(
        parameters=[
            pb.Function.Parameter(
                name=one.name,
                type=spelled(one.type),
                description=one.description,
                description_kind=pb.MARKDOWN,
            )
            for one in source.parameters
        ],
        summary=source.summary,
        description=source.description,
        description_kind=pb.MARKDOWN,
    )
    getattr(message, "return").type = spelled(source.returns)  # a word of Python's
    return message


def spelled(type_: Type | None) -> bytes:
    return json.dumps("dynamic" if type_ is None else type_.spelled()).encode()


def path(steps: Path) -> pb.AttributePath:
    return pb.AttributePath(
        steps=[
            pb.AttributePath.Step(element_key_int=step)
            if isinstance(step, int)
            else pb.AttributePath.Step(attribute_name=step)
            for step in steps
        ]
    )


def diagnostics(items: Iterable[Diagnostic]) -> list[pb.Diagnostic]:
    return [
        pb.Diagnostic(
            severity=_SEVERITY[item.severity],
            summary=item.summary,
            detail=item.detail,
            # Terraform finds the line of a top-level attribute only: with more steps it points at the whole resource.
            attribute=path(item.path[:1]) if item.path else None,
        )
        for item in items
    ]


def deferred(reason: Deferral | None) -> pb.Deferred | None:
    return None if reason is None else pb.Deferred(reason=_REASON[reason])
