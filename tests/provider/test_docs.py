"""The pages in docs/provider say what the schema says, and the schema says everything."""

import pytest

from provider.framework.schema import Attr, Nested
from provider.main import Steppe
from tools.build_provider_docs import DOCS, pages, plainest


def test_pages_are_those_of_the_schema():
    wanted = pages()
    assert set(DOCS.rglob("*.md")) == set(wanted)
    stale = [path.name for path, text in wanted.items() if path.read_text() != text]
    assert not stale, "run tools/build_provider_docs.py"


def _attributes(attributes: dict[str, Attr], at: str):
    for name, one in attributes.items():
        yield f"{at}.{name}", one
        if isinstance(one.shape, Nested):
            yield from _attributes(one.shape.attributes, f"{at}.{name}")


@pytest.mark.parametrize(
    "kind",
    [
        *Steppe.resources,
        *Steppe.data_sources,
        *Steppe.ephemeral_resources,
        *Steppe.list_resources,
        *Steppe.actions,
    ],
    ids=lambda one: f"{type(one).__name__}-{one.type_name}",
)
def test_every_attribute_is_described_and_has_one_role(kind):
    assert kind.schema.description
    for path, one in _attributes(kind.schema.attributes, kind.type_name):
        assert one.description.endswith((".", "`")), path
        assert one.required + (one.optional or one.is_computed) == 1, path
        assert not (one.default is not None and not one.optional), path


@pytest.mark.terraform
def test_examples_that_nobody_wrote_are_valid(serve):
    """Those of the examples' folder are applied by tests of their own."""
    terraform = serve(Steppe())
    made = [plainest(one.type_name, one.schema) for one in Steppe.data_sources]
    shown = [text for text in made if any(f"\n{text}\n```" in page for page in pages().values())]
    assert len(shown) > 20
    terraform.write("\n".join(shown))
    assert terraform.complaints() == []
