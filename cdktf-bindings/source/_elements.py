"""What the generated classes are made of: resource, data source, ephemeral resource and provider over the kit's own classes.

They are plain Python: no compiled assembly of JavaScript is needed, the kit asks an object for its attributes once.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypedDict

from constructs import Construct

from ._attributes import Place, StackError, checked, declared, members
from ._flavour import kit


class Meta(TypedDict, total=False):
    """Terraform's own arguments, which every resource and data source takes."""

    count: Any
    depends_on: Sequence[Any]
    for_each: Any
    lifecycle: Any
    provider: Any
    provisioners: Any
    connection: Any


class EphemeralMeta(TypedDict, total=False):
    """Terraform's own arguments, which every ephemeral resource takes."""

    depends_on: Sequence[Any]
    provider: Any


READERS = {
    "string": "get_string_attribute",
    "number": "get_number_attribute",
    "bool": "get_boolean_attribute",
    "list of string": "get_list_attribute",
    "set of string": "get_list_attribute",
    "map of string": "get_string_map_attribute",
}
META = frozenset(Meta.__annotations__)


class _Attributes:
    """Keeps what was given, and answers references. Mixed into the kit's elements."""

    given: dict[str, Any]
    _references: dict[str, Any]

    def _settle(self, scope: Construct, id: str, attributes: Mapping[str, Any]) -> None:
        self._references = {}
        self.given = members(Place(scope, id), "", attributes, type(self))

    def assign(self, name: str, value: Any) -> None:
        path = Place(self)  # type: ignore[arg-type]
        fact = declared(type(self))[name]
        if value is None and fact.required:
            raise StackError(path, f"{name} is required")
        if value is None:
            self.given.pop(name, None)
        else:
            self.given[name] = checked(path, name, value, fact)

    def refer(self, name: str, kind: str) -> Any:
        """The same reference every time: each one costs a call of the kit and a place in its memory."""
        if name not in self._references:
            self._references[name] = getattr(self, READERS.get(kind, "interpolation_for_attribute"))(name)
        return self._references[name]

    def _synthesize_attributes(self) -> Mapping[str, Any]:
        return self.given

    def _synthesize_hcl_attributes(self) -> Mapping[str, Any]:
        return {name: _hcl(value, declared(type(self))[name].kind) for name, value in self.given.items()}


class Resource(_Attributes, kit.TerraformResource):
    """A managed resource."""

    type_name: ClassVar[str]
    versions: ClassVar[dict[str, str]]

    def __init__(self, scope: Construct, id: str, **attributes: Any) -> None:
        meta = {name: attributes.pop(name) for name in META & attributes.keys()}
        self._settle(scope, id, attributes)
        super().__init__(
            scope, id, terraform_resource_type=self.type_name, terraform_generator_metadata=self.versions, **meta
        )


class DataSource(_Attributes, kit.TerraformDataSource):
    """Something that is looked up."""

    type_name: ClassVar[str]
    versions: ClassVar[dict[str, str]]

    def __init__(self, scope: Construct, id: str, **attributes: Any) -> None:
        meta = {name: attributes.pop(name) for name in META & attributes.keys()}
        self._settle(scope, id, attributes)
        super().__init__(
            scope, id, terraform_resource_type=self.type_name, terraform_generator_metadata=self.versions, **meta
        )


class EphemeralResource(_Attributes, kit.TerraformElement):
    """Something that lives as long as one command. One of the kits knows of such things and the other does not: this stands
    on what both have, and writes its own part of the stack. Where Terraform lets it be used: in the configuration of a
    provider, in write-only arguments (`…_wo`), in provisioners and in ephemeral outputs and variables."""

    type_name: ClassVar[str]
    versions: ClassVar[dict[str, str]]

    def __init__(
        self, scope: Construct, id: str, *, depends_on: Sequence[Any] = (), provider: Any = None, **attributes: Any
    ) -> None:
        self._settle(scope, id, attributes)
        self._depends_on, self._provider = list(depends_on), provider
        super().__init__(scope, id, f"ephemeral.{self.type_name}")

    def refer(self, name: str, kind: str) -> Any:
        return f"${{{self._address}.{name}}}"

    @property
    def _address(self) -> str:
        return f"ephemeral.{self.type_name}.{self.friendly_unique_id}"

    def to_terraform(self) -> Any:
        """Called by the kit."""
        meta: dict[str, Any] = {}
        if self._depends_on:
            meta["depends_on"] = [_named(one) for one in self._depends_on]
        if self._provider is not None:
            meta["provider"] = self._provider.fqn
        return {"ephemeral": {self.type_name: {self.friendly_unique_id: self.given | meta}}}

    def to_hcl_terraform(self) -> Any:
        """Called by the kit, whose writer of HCL would leave it out without a word."""
        raise StackError(Place(self), "an ephemeral resource is written as JSON only: synthesize the stack without HCL")


def _named(element: Any) -> str:
    """As `depends_on` names it."""
    if isinstance(element, EphemeralResource):
        return element._address
    kind = "data." if isinstance(element, kit.TerraformDataSource) else ""
    return f"{kind}{element.terraform_resource_type}.{element.friendly_unique_id}"


class Provider(_Attributes, kit.TerraformProvider):
    """The provider's configuration; a stack has one, or several with an `alias`."""

    type_name: ClassVar[str]
    source: ClassVar[str]
    versions: ClassVar[dict[str, str]]

    def __init__(self, scope: Construct, id: str, *, alias: str | None = None, **attributes: Any) -> None:
        self._alias = alias
        self._settle(scope, id, attributes)
        super().__init__(
            scope,
            id,
            terraform_resource_type=self.type_name,
            terraform_generator_metadata=self.versions,
            terraform_provider_source=self.source,
        )

    @property
    def alias(self) -> str | None:
        return self._alias

    @alias.setter
    def alias(self, value: str | None) -> None:
        self._alias = value

    def _synthesize_attributes(self) -> Mapping[str, Any]:
        return self.given | ({"alias": self._alias} if self._alias else {})

    def _synthesize_hcl_attributes(self) -> Mapping[str, Any]:
        named = {"alias": _hcl(self._alias, "string")} if self._alias else {}
        return {**super()._synthesize_hcl_attributes(), **named}


def _hcl(value: Any, kind: str) -> dict[str, Any]:
    """A value in the words of the kit's writer of HCL, which renders each kind in its own way."""
    words = {
        "string": ("simple", "string"),
        "number": ("simple", "number"),
        "bool": ("simple", "boolean"),
        "list of string": ("list", "stringList"),
        "set of string": ("list", "stringList"),
        "object": ("map", "any"),
    }
    type_, storage = words.get(kind, ("any", "any"))
    return {"value": value, "isBlock": False, "type": type_, "storageClassType": storage}
