"""Checks of a configuration before anything is planned; every complaint names its attribute."""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

from provider.framework.diagnostics import Diagnostics, Path, spelled
from provider.framework.schema import Attr, Schema, Validator
from provider.framework.types import UNKNOWN, Value


def check(schema: Schema, config: dict[str, Value], diagnostics: Diagnostics) -> None:
    """Run all validators on the known values, then the rules over several attributes."""
    for name, attribute in schema.attributes.items():
        _check_attribute(attribute, config.get(name), (name,), diagnostics)
    if diagnostics.failed:
        return
    for rule in schema.rules:
        for path, complaint in rule(config):
            diagnostics.error(f"Invalid {spelled(path)}", complaint, path)


def must_not_be_written(schema: Schema, config: dict[str, Value], diagnostics: Diagnostics) -> None:
    """For a Terraform that would keep a write-only value."""
    for name, attribute in schema.attributes.items():
        if attribute.write_only and config.get(name) is not None:
            detail = f"{name} is never stored, which takes Terraform 1.11 or newer: this one would store it."
            diagnostics.error(f"{name} needs a newer Terraform", detail, (name,))


def _check_attribute(attribute: Attr, value: Value, path: Path, diagnostics: Diagnostics) -> None:
    if value is None:
        return
    if attribute.is_computed and not attribute.optional:
        diagnostics.error(f"Invalid {spelled(path)}", f"{spelled(path)} is a fact, it cannot be set: remove it.", path)
        return
    if value is UNKNOWN:
        return
    for validator in attribute.validators:
        complaint = validator(value)
        if complaint:
            diagnostics.error(f"Invalid {spelled(path)}", complaint, path)
    nested = attribute.nested
    if nested is None:
        return
    elements: list[tuple[Path, Value]]
    match nested.nesting:
        case "single":
            elements = [(path, value)]
        case "map":
            elements = [((*path, key), element) for key, element in value.items()]
        case "list":
            elements = [((*path, index), element) for index, element in enumerate(value)]
        case "set":  # the protocol has no short name for an element of a set: the set itself is named
            elements = [(path, element) for element in value]
    for where, element in elements:
        if element is None or element is UNKNOWN:
            continue
        for name, member in nested.attributes.items():
            _check_attribute(
                member, element.get(name), (*where, name) if nested.nesting != "set" else where, diagnostics
            )


def matches(pattern: str, meaning: str) -> Validator:
    compiled = re.compile(pattern)
    return lambda value: None if compiled.fullmatch(value) else f"{value!r} is not {meaning}."


def length(shortest: int, longest: int) -> Validator:
    """Length of a text, in characters."""

    def validator(value: str) -> str | None:
        if shortest <= len(value) <= longest:
            return None
        return f"The text has {len(value)} characters; {shortest} to {longest} are allowed."

    return validator


def between(lowest: int, highest: int) -> Validator:
    def validator(value: float) -> str | None:
        if value != int(value):
            return f"{value} is not a whole number."
        return None if lowest <= value <= highest else f"{value} is not between {lowest} and {highest}."

    return validator


@dataclass(frozen=True)
class OneOf:
    """The bindings read from it what there is to choose from."""

    allowed: tuple[str, ...]

    def __call__(self, value: str) -> str | None:
        return None if value in self.allowed else f"{value!r} is not one of {', '.join(map(repr, self.allowed))}."


def one_of(*allowed: str) -> OneOf:
    return OneOf(allowed)


@dataclass(frozen=True)
class Each:
    """Apply `validator` to every known element of a list, set or map."""

    validator: Validator

    def __call__(self, values: list[Value] | dict[str, Value]) -> str | None:
        for value in values.values() if isinstance(values, dict) else values:
            if value is None:
                return "An element is null."
            complaint = None if value is UNKNOWN else self.validator(value)
            if complaint:
                return complaint
        return None


def each(validator: Validator) -> Each:
    return Each(validator)


def choices(attribute: Attr) -> tuple[str, ...]:
    """What the attribute, or each of its elements, may be; nothing when that is open."""
    inner = (one.validator if isinstance(one, Each) else one for one in attribute.validators)
    return next((one.allowed for one in inner if isinstance(one, OneOf)), ())


def filled(value: list[Value]) -> str | None:
    return None if value else "At least one element is needed; leave the attribute out for none."


def distinct(value: list[Value]) -> str | None:
    known = [element for element in value if element is not UNKNOWN]
    twice = sorted({str(element) for element in known if known.count(element) > 1})
    return f"{', '.join(twice)} is given more than once." if twice else None


def _parses(parse: Callable[[str], object], meaning: str) -> Validator:
    def validator(value: str) -> str | None:
        try:
            parse(value)
        except ValueError as error:
            return f"{value!r} is not {meaning} ({error})."
        return None

    return validator


uuid = matches(r"[0-9a-f]{32}", "a uuid: 32 lower-case hexadecimal digits without dashes")
ipv4 = _parses(ipaddress.IPv4Address, "an IPv4 address such as 10.0.0.10")
cidr = _parses(ipaddress.IPv4Network, "an IPv4 network such as 10.0.0.0/24")
netmask = _parses(lambda value: ipaddress.IPv4Network(f"0.0.0.0/{value}"), "a netmask such as 255.255.255.0")
DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def seconds(duration: str) -> float:
    """`"1h30m"`, `"45s"` → seconds. Raises ValueError for anything else."""
    found = DURATION.fullmatch(duration)
    if not duration or not found:
        raise ValueError("a duration is hours, minutes and seconds, e.g. 1h30m or 45s")
    hours, minutes, rest = (int(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + rest


duration = _parses(seconds, "a duration")
