import hashlib

import pytest

from cli.declarations import load
from cli.output import Progress
from cli.request import request_for
from cli.words import Problem, Unfinished, parameters, split
from cli.words import find as find_in
from controlplane.contract.condition import parse_condition

APIS = load().apis


def find(name):
    return find_in(APIS, name)


def words(name, *given):
    return parameters(find(name), list(given))


def target(name, *given):
    return request_for(find(name), words(name, *given)).target


def test_an_unknown_api_is_named_with_a_suggestion():
    with pytest.raises(Problem, match=r'"CreateZon" is not an API message, did you mean "CreateZone"\?'):
        find("CreateZon")


def test_an_unknown_parameter_is_named_with_a_suggestion():
    with pytest.raises(Problem, match=r'no parameter "nam", did you mean "name"\?'):
        words("CreateZone", "nam=x")


@pytest.mark.parametrize("word", ["x", "=x", "na me=x"])
def test_a_word_that_is_no_assignment_is_refused(word):
    with pytest.raises(Problem, match="key=value"):
        words("CreateZone", word)


def test_a_parameter_given_twice_is_refused():
    with pytest.raises(Problem, match="twice"):
        words("CreateZone", "name=a", "name=b")


def test_lists_are_split_at_commas_and_an_escaped_comma_stays():
    assert words("CreateZone", "name=z", r"userTags=a,b\,c")["userTags"] == ["a", "b,c"]


def test_a_json_list_is_taken_as_it_is():
    assert words("CreateZone", 'userTags=["a,b", "c"]')["userTags"] == ["a,b", "c"]


def test_every_comma_splits_system_tags_and_backslashes_are_content():
    tags = words("CreateZone", r"systemTags=userdata::a: [b,c]\,d")["systemTags"]
    assert ",".join(tags) == r"userdata::a: [b,c]\,d"


def test_a_value_is_a_files_content(tmp_path):
    file = tmp_path / "text"
    file.write_text("line 1\nline=2\n")
    assert words("CreateZone", "name=z", f"description=@{file}")["description"] == "line 1\nline=2\n"


def test_two_at_signs_begin_a_text():
    assert words("CreateZone", "name=@@home")["name"] == "@home"


def test_a_missing_file_is_a_problem():
    with pytest.raises(Problem, match="/does/not/exist"):
        words("CreateZone", "name=@/does/not/exist")


def test_passwords_are_hashed_and_a_files_last_line_feed_is_no_part(tmp_path):
    file = tmp_path / "secret"
    file.write_text("password\n")
    expected = hashlib.sha512(b"password").hexdigest()
    assert words("LogInByAccount", "accountName=admin", "password=password")["password"] == expected
    assert words("LogInByAccount", f"password=@{file}")["password"] == expected


@pytest.mark.parametrize(
    ("word", "name", "op", "value"),
    [
        ("name=web", "name", "=", "web"),
        ("state!=Enabled", "state", "!=", "Enabled"),
        ("name?=a,b", "name", "in", "a,b"),
        ("name!?=a,b", "name", "not in", "a,b"),
        ("tag~=userdata%", "tag", "like", "userdata%"),
        ("tag~=userdata", "tag", "like", "%userdata%"),
        ("name!~=a_", "name", "not like", "a_"),
        ("sortKey>=3", "sortKey", ">=", "3"),
        ("sortKey<3", "sortKey", "<", "3"),
        ("description=null", "description", "is null", None),
        ("description!=null", "description", "is not null", None),
        ("description not null", "description", "is not null", None),
        ("vmNics.ip=10.0.0.5", "vmNics.ip", "=", "10.0.0.5"),
        ("name=a!=b", "name", "=", "a!=b"),
        ("__userTag__=x", "__userTag__", "=", "x"),
    ],
)
def test_words_of_a_query_are_conditions(word, name, op, value):
    (text,) = words("QueryZone", word)["conditions"]
    condition = parse_condition(text)
    assert (condition.name, condition.op, condition.value) == (name, op, value)


def test_a_condition_without_operator_is_a_problem():
    with pytest.raises(Problem, match="operators"):
        words("QueryZone", "name")


def test_a_query_becomes_a_query_string():
    given = ("name~=web", "sortBy=name", "sortDirection=desc", "limit=3", "fields=name,uuid")
    assert target("QueryZone", *given) == "/zones?q=name~%3D%25web%25&sort=-name&fields=name%2Cuuid&limit=3"


def test_a_path_parameter_is_needed_and_quoted():
    with pytest.raises(Problem, match='DeleteZone needs the parameter "uuid"'):
        target("DeleteZone")
    assert target("DeleteZone", "uuid=a/b c") == "/zones/a%2Fb%20c"


def test_a_creation_is_a_post_with_params():
    request = request_for(find("CreateZone"), words("CreateZone", "name=z"))
    assert (request.method, request.target, request.body) == ("POST", "/zones", {"params": {"name": "z"}})


def test_an_action_is_a_put_with_its_name():
    request = request_for(find("ChangeZoneState"), words("ChangeZoneState", "uuid=u", "stateEvent=disable"))
    assert (request.method, request.target) == ("PUT", "/zones/u/actions")
    assert request.body == {"changeZoneState": {"stateEvent": "disable"}}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("CreateZone name=a", ["CreateZone", "name=a"]),
        ("  x   'a b'\t\"c d\" ", ["x", "a b", "c d"]),
        (r"""x tag='a\n"b'""", ["x", r"""tag=a\n"b"""]),
        (r"""x tag="a\"b\\c\n" """, ["x", r"""tag=a"b\c\n"""]),
        (r"x a\ b", ["x", "a b"]),
        ("x ''", ["x", ""]),
        ("x 'a\nb'", ["x", "a\nb"]),
    ],
)
def test_a_line_is_split_as_by_a_shell(line, expected):
    assert split(line) == expected


@pytest.mark.parametrize("line", ["x 'a", 'x "a', "x \\", "x tag='userdata::a\nb"])
def test_a_line_within_quotes_is_unfinished(line):
    with pytest.raises(Unfinished):
        split(line)


@pytest.mark.parametrize(
    ("word", "tags"),
    [
        ("userTags=a,b", ["a", "b"]),
        ("userTags='a,b'", ["a", "b"]),
        ("userTags=a,'b,c'", ["a", "b,c"]),
        ("userTags='a,b',c", ["a,b", "c"]),
        ("""userTags='"a,b",c'""", ["a,b", "c"]),
        (r"""userTags='"a\"b,",c'""", ['a"b,', "c"]),
        ("""userTags='a"b,c'""", ['a"b', "c"]),
        (r"userTags=a\,b,c", ["a,b", "c"]),
        ("userTags=", [""]),
        ("userTags=a,,b", ["a", "", "b"]),
        ("systemTags='userdata::x: [a,b]','sshkey::k'", ["userdata::x: [a,b]", "sshkey::k"]),
    ],
)
def test_quotes_keep_a_comma_within_an_element(word, tags):
    name = word.partition("=")[0]
    assert parameters(find("CreateZone"), split(f"CreateZone name=z {word}")[1:])[name] == tags


def test_a_comma_in_quotes_is_a_comma_where_there_is_no_list():
    given = split("CreateZone name=a','b description='x, y'")[1:]
    assert parameters(find("CreateZone"), given) == {"name": "a,b", "description": "x, y"}
    assert parameters(find("QueryZone"), split("QueryZone name?='a,b'c")[1:])["conditions"] == ["name?=a,bc"]


def test_progress_says_rate_and_time_left(capsys):
    progress = Progress()
    told = {"done": 1 << 30, "total": 4 << 30, "text": "copying root to b", "rate": 200 << 20, "remaining": 16}
    progress.show(told)
    progress.show({"text": "copying root to b"})
    assert capsys.readouterr().err == "copying root to b 25 %, 200 MiB/s, 16 s left\ncopying root to b\n"
