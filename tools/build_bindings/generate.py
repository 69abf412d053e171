"""Python source of the bindings' generated modules, made from the provider's schema alone.

One class for each resource, data source and ephemeral resource, with a TypedDict of its arguments, so that editors and type checkers know
them. Refuses a schema whose names would hide something of the kit or of Python.
"""

import json
import keyword
import textwrap
from collections.abc import Iterator

from provider.framework.resource import DataSource, EphemeralResource, Resource
from provider.framework.schema import Attr, Nested, Schema
from provider.framework.types import Type
from provider.framework.validate import choices
from provider.main import Steppe

WIDTH = 116
# Members of the kit's elements and of ours, and Terraform's own arguments.
TAKEN = """
alias assign cdktf_stack connection count depends_on for_each fqn friendly_unique_id given id lifecycle
meta_attributes node provider provisioners refer scope self source type_name versions
"""
READ = {"string": "str", "number": "float", "bool": "kit.IResolvable", "list of string": "list[str]",
        "set of string": "list[str]", "map of string": "Mapping[str, str]"}  # fmt: skip
BASES = {"Provider": "TypedDict", "EphemeralResource": "EphemeralMeta"}  # of the arguments
GIVEN = {"string": "str", "number": "float", "bool": "bool | kit.IResolvable"}
HEAD = '''"""{summary} Generated from the provider's schema."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Required, TypedDict, Unpack

from constructs import Construct

from ._attributes import Fact, View, Views, Wish
from ._elements import DataSource, EphemeralMeta, EphemeralResource, Meta, Provider, Resource
from ._flavour import kit
'''


def modules(version: str, source: str) -> dict[str, str]:
    """The generated modules by file name. `version` is the provider's own, as Terraform sees it."""
    provider, major_minor = Steppe(), version.rpartition(".")[0]
    about = {"provider_name": "steppe", "provider_version": f"~> {major_minor}"}
    versions = f"VERSIONS = {json.dumps(about)}\n"
    resources = "".join(map(_resource, provider.resources))
    sources = "".join(map(_data_source, provider.data_sources))
    ephemeral = "".join(map(_ephemeral_resource, provider.ephemeral_resources))
    return {
        "provider.py": HEAD.format(summary="The provider's configuration.")
        + f"\n{versions}{_class('SteppeProvider', 'Provider', 'steppe', provider.schema, source)}",
        "resources.py": HEAD.format(summary="The resources.") + f"\n{versions}{resources}",
        "data_sources.py": HEAD.format(summary="The data sources.") + f"\n{versions}{sources}",
        "ephemeral_resources.py": HEAD.format(summary="The ephemeral resources: in no state and in no plan.")
        + f"\n{versions}{ephemeral}",
    }


def class_name(type_name: str) -> str:
    """`steppe_l2_network` → `L2Network`."""
    return "".join(word.capitalize() for word in type_name.removeprefix("steppe_").split("_"))


def _resource(one: Resource) -> str:
    return _class(class_name(one.type_name), "Resource", one.type_name, one.schema)


def _data_source(one: DataSource) -> str:
    return _class(f"Data{class_name(one.type_name)}", "DataSource", one.type_name, one.schema)


def _ephemeral_resource(one: EphemeralResource) -> str:
    return _class(f"Ephemeral{class_name(one.type_name)}", "EphemeralResource", one.type_name, one.schema)


def _class(name: str, base: str, type_name: str, schema: Schema, source: str = "") -> str:
    for attribute in schema.attributes:
        if attribute in TAKEN.split() or keyword.iskeyword(attribute):
            raise SystemExit(f"{type_name}.{attribute}: the name means something else in Python; choose another one")
    settable = {key: one for key, one in schema.attributes.items() if _settable(one)}
    text = "".join(_nested(name, key, one) for key, one in sorted(schema.attributes.items()))
    text += f"\n\nclass {name}Arguments({BASES.get(base, 'Meta')}, total=False):\n"
    text += _doc(f"Arguments of {name}.", 4)
    text += "    alias: str\n" if base == "Provider" else ""
    text += "".join(_argument(name, key, one) for key, one in _in_order(settable))
    text += f"\n\nclass {name}({base}):\n{_doc(schema.description, 4)}\n"
    text += f'    type_name = "{type_name}"\n    versions = VERSIONS\n'
    text += f'    source = "{source}"\n' if source else ""
    text += "".join(_attribute(name, key, one) for key, one in sorted(schema.attributes.items()))
    text += f"\n    if TYPE_CHECKING:\n\n        def __init__(self, scope: Construct, id: str, **attributes: Unpack[{name}Arguments])"
    return text + " -> None: ...\n"


def _nested(owner: str, key: str, attribute: Attr) -> str:
    """The classes of the objects in an attribute: a TypedDict to give, a View to read."""
    shape = attribute.nested
    if shape is None:
        return ""
    name = owner + class_name(key)
    text = "".join(_nested(name, member, one) for member, one in sorted(shape.attributes.items()))
    if _settable(attribute):
        text += f"\n\nclass {name}(TypedDict, total=False):\n{_doc(f'An object in `{key}`.', 4)}"
        text += "".join(_argument(name, member, one) for member, one in _in_order(shape.attributes) if _settable(one))
    text += f"\n\nclass {name}View(View):\n{_doc(f'An object in `{key}`, to read.', 4)}"
    return text + "".join(_attribute(name, member, one) for member, one in sorted(shape.attributes.items()))


def _argument(owner: str, key: str, attribute: Attr) -> str:
    given = _given(owner, key, attribute)
    return f"    {key}: {f'Required[{given}]' if attribute.required else given}\n{_doc(_words(attribute), 4)}"


def _attribute(owner: str, key: str, attribute: Attr) -> str:
    kind = _kind(attribute)
    parts = [f'"{kind}"'] + ([f"{owner}{class_name(key)}View"] if attribute.nested else [])
    parts += ["required=True"] if attribute.required else []
    parts += [f"choices={choices(attribute)!r}"] if _settable(attribute) and choices(attribute) else []
    what = "Wish" if _settable(attribute) else "Fact"
    return f"    {key} = {what}[{_read(owner, key, attribute)}]({', '.join(parts)})\n{_doc(_words(attribute), 4)}"


def _settable(attribute: Attr) -> bool:
    return attribute.required or attribute.optional


def _in_order(attributes: dict[str, Attr]) -> Iterator[tuple[str, Attr]]:
    """What must be given comes first."""
    yield from sorted(attributes.items(), key=lambda one: (not one[1].required, one[0]))


def _kind(attribute: Attr) -> str:
    if isinstance(attribute.shape, Nested):
        return "object" if attribute.shape.nesting == "single" else attribute.shape.nesting
    return _spelled(attribute.shape)


def _spelled(shape: Type) -> str:
    return f"{shape.kind} of {_spelled(shape.element)}" if shape.element else shape.kind


def _given(owner: str, key: str, attribute: Attr) -> str:
    if attribute.nested is not None:
        return _wrapped(owner + class_name(key), _kind(attribute))
    return _plain(attribute.type, choices(attribute))


def _plain(shape: Type, allowed: tuple[str, ...]) -> str:
    if shape.element is not None:
        return _wrapped(_plain(shape.element, allowed), shape.kind)
    if allowed and shape.kind == "string":
        return f"Literal[{', '.join(map(repr, allowed))}]"
    return GIVEN.get(shape.kind, "Mapping[str, Any]")


def _wrapped(element: str, kind: str) -> str:
    if kind == "object":
        return element
    return f"Mapping[str, {element}]" if kind == "map" else f"Sequence[{element}]"


def _read(owner: str, key: str, attribute: Attr) -> str:
    if attribute.nested is None:
        return READ.get(_kind(attribute), "Any")
    view = f"{owner}{class_name(key)}View"
    return view if attribute.nested.nesting == "single" else f"Views[{view}]"


def _words(attribute: Attr) -> str:
    text = attribute.description
    if attribute.default is not None:
        text += f" Default: `{attribute.default!r}`."
    if attribute.sensitive:
        text += " Secret."
    return text + (" A change makes a new one." if attribute.replace else "")


def _doc(text: str, indent: int) -> str:
    margin = " " * indent
    escaped = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    if escaped.endswith('"'):
        escaped = escaped[:-1] + '\\"'
    lines = textwrap.wrap(escaped, WIDTH - indent - 6) or [""]
    body = f"\n{margin}".join(lines) + (f"\n{margin}" if len(lines) > 1 else "")
    return f'{margin}"""{body}"""\n'
