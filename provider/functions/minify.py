"""minify: user data as one line, the form in which it is typed at a command line."""

from collections.abc import Sequence

from provider.framework.function import Function, Parameter, Wrong
from provider.framework.types import STRING, Value


class Minify(Function):
    name = "minify"
    summary = "User data on one line."
    description = (
        "Writes each line feed of a text as the two characters `\\n`, and drops the last one: the form that user data has in a "
        "system tag typed at a command line. The attribute `user_data` of `steppe_vm` does not need it: it takes text as it is."
    )
    example = 'provider::steppe::minify(file("user-data.yaml"))'
    parameters = (Parameter("text", STRING, "The user data, of any number of lines."),)
    returns = STRING

    def call(self, arguments: Sequence[Value]) -> Value:
        text: str = arguments[0]
        if "\\n" in text:
            line = text[: text.index("\\n")].count("\n") + 1
            raise Wrong(
                0,
                f"line {line} holds the two characters \\n already; on one line nobody could tell them from a line feed. "
                "Use user_data, which takes the text as it is.",
            )
        return text.removesuffix("\n").replace("\n", "\\n")
