"""YAML as a tree with places, from text that a stranger wrote (pure).

Nothing is constructed, so aliases and merges cannot grow; nesting is bounded before the tree is built, because libyaml's
tree builder recurses without a bound of its own. What cloud-init's loader would refuse is refused, with line and column.
"""

from collections.abc import Iterator
from typing import NamedTuple

import yaml
from yaml.constructor import SafeConstructor

DEEPEST = 100
_STANDARD = "tag:yaml.org,2002:"
_KINDS = frozenset(
    [
        "str",
        "int",
        "float",
        "bool",
        "null",
        "timestamp",
        "binary",
        "seq",
        "map",
        "set",
        "omap",
        "pairs",
        "merge",
        "value",
    ]
)
_OPENING = (yaml.SequenceStartEvent, yaml.MappingStartEvent)
_CLOSING = (yaml.SequenceEndEvent, yaml.MappingEndEvent)


class Place(NamedTuple):
    """Counted from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


class Unreadable(ValueError):
    """Says what is wrong and where."""


def place(mark: "yaml.Mark | yaml._yaml.Mark | None") -> Place:
    return Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)


def kind(node: yaml.Node) -> str:
    """str, int, float, bool, null, timestamp, binary, seq, map …"""
    return str(node.tag).removeprefix(_STANDARD)


def root(text: str) -> yaml.Node | None:
    """The tree of one document, None for an empty one. Raises Unreadable."""
    try:
        _must_be_shallow(text)
        tree: yaml.Node | None = yaml.compose(text, yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        said = " ".join(filter(None, (error.problem, error.context)))
        raise Unreadable(f"{place(error.problem_mark or error.context_mark)}: {said}") from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line = before.count("\n") + 1
        column = len(before) - before.rfind("\n")
        raise Unreadable(
            f"{Place(line, column)}: the character U+{int(error.character):04X} is not allowed in YAML"
        ) from None
    except yaml.YAMLError as error:
        raise Unreadable(f"it is not YAML: {error}") from None
    for node in nodes(tree) if tree else ():
        _must_load(node)
    return tree


def nodes(tree: yaml.Node) -> Iterator[yaml.Node]:
    """Every node once, however often it is referred to."""
    waiting, seen = [tree], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            waiting += [part for pair in node.value for part in pair]


def _must_be_shallow(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, yaml.CSafeLoader):
        if isinstance(event, _OPENING):
            depth += 1
            if depth > DEEPEST:
                raise Unreadable(f"{place(event.start_mark)}: nested more than {DEEPEST} deep")
        elif isinstance(event, _CLOSING):
            depth -= 1


def _must_load(node: yaml.Node) -> None:
    if kind(node) not in _KINDS:
        raise Unreadable(f"{place(node.start_mark)}: the tag {node.tag} is unknown")
    if isinstance(node, yaml.MappingNode):
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise Unreadable(f"{place(key.start_mark)}: a key must be a word, not a {kind(key)}")
    if isinstance(node, yaml.ScalarNode) and kind(node) == "timestamp":
        try:
            SafeConstructor().construct_yaml_timestamp(node)
        except ValueError as error:
            raise Unreadable(f"{place(node.start_mark)}: {node.value} is no date: {error}") from None
