"""What a function of the provider is: `provider::steppe::name(…)`, pure, the same answer for the same arguments.

`call` gets plain Python and raises `Wrong` to say which argument is wrong, and why. Arguments are never null or unknown:
Terraform answers for those itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from provider.framework.types import Type, Value


class Wrong(Exception):
    """What is wrong with an argument and what would be right; `argument` is its position, from 0."""

    def __init__(self, argument: int, text: str) -> None:
        super().__init__(text)
        self.argument = argument


@dataclass(frozen=True)
class Parameter:
    """`type` None: a value of any type."""

    name: str
    type: Type | None
    description: str


class Function:
    """Base of all functions."""

    name: str
    summary: str
    description: str
    example: str  # an expression
    parameters: tuple[Parameter, ...]
    returns: Type

    def call(self, arguments: Sequence[Value]) -> Value:
        raise NotImplementedError
