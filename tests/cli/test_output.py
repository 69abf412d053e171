import json

import yaml
from hypothesis import given
from hypothesis import strategies as st

from cli.history import History, without_secrets
from cli.output import render

texts = st.text() | st.sampled_from(
    ["yes", "a: b", "- x", "#", "a\nb", "a\n", "\n", " a\nb", "a\n\n", "1", "null", "~", "a\n b "]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(texts, values, max_size=4))
def test_yaml_reads_back_as_it_was(answer):
    assert yaml.safe_load(render(answer, "yaml")) == answer | {"success": True}


@given(st.dictionaries(texts, values, max_size=4))
def test_json_is_sorted_and_indented(answer):
    whole = answer | {"success": True}
    assert render(answer, "json") == json.dumps(whole, sort_keys=True, indent=4, ensure_ascii=False) + "\n\n"


def test_a_table_of_nothing_says_so():
    assert render({"inventories": []}, "table") == "none\n"


def test_secrets_are_left_out_of_the_history(tmp_path):
    for line in (
        "LogInByAccount accountName=a password=s3cret",
        "LogInByAccount password='s3cret x' accountName=a",
        'UpdateAccount password="s3cret\\" x"',
        "AddX accessKeySecret=s3cret",
        "CreateSystemTag tag=rootPassword::s3cret",
    ):
        assert "s3cret" not in without_secrets(line)
        assert " x" not in without_secrets(line)
    history = History(tmp_path / "h")
    history.add("a\nb")
    History(tmp_path / "h").add("password=s3cret")
    assert History(tmp_path / "h").lines == ["a\nb", "password="]
