"""The prompt of the real program, at a pseudo-terminal, against a real control plane in a process of its own."""

import json
import os
import stat
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.cli.terminal import ROOT, Terminal
from tests.provider.cloud import Cloud


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    made = Cloud(tmp_path_factory.mktemp("cloud"), hosts=0)
    try:
        made.start_control_plane()
        made.password = (made.state / "admin-password").read_text().strip()
        yield made
    finally:
        made.__exit__()


@pytest.fixture
def environment(cloud, tmp_path):
    kept = {key: value for key, value in os.environ.items() if not key.startswith("STEPPE_")}
    return {**kept, "HOME": str(tmp_path), "STEPPE_SERVER": cloud.endpoint}


@pytest.fixture
def command(environment):
    """Runs one command in a process of its own: (status, output, errors)."""

    def run(*words, stdin=None):
        program = [sys.executable, "-m", "cli.main", *words]
        given = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
        done = subprocess.run(program, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60, **given)
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def logged_in(command, cloud):
    status, _, errors = command("LogInByAccount", "accountName=admin", f"password={cloud.password}")
    assert status == 0, errors
    return command


@pytest.fixture
def terminal(environment, logged_in):
    opened = []

    def start(*words):
        made = Terminal(environment, *words)
        opened.append(made)
        made.read_until(r">>>$")
        return made

    yield start
    for one in opened:
        one._process.kill()
        one._process.wait()


def created(command, *words):
    status, out, errors = command(*words)
    assert status == 0, errors
    return json.loads(out)["inventory"]["uuid"]


def test_errors_do_not_end_the_session_and_ctrl_d_does(terminal):
    prompt = terminal()
    assert '"NoSuch" is not an API message' in prompt.enter("NoSuch x=1")
    assert "SYS.1003" in prompt.enter(f"UpdateZone uuid={'0' * 32} name=x")
    assert '"success": true' in prompt.enter("QueryZone name=none")
    assert "QueryVmInstance" in prompt.enter("help")
    assert "vmNics." in prompt.enter("help QueryVmInstance")
    prompt.type("\x04")
    assert prompt.end() == 0


@pytest.mark.parametrize("word", ["quit", "exit"])
def test_a_word_ends_the_session(terminal, word):
    prompt = terminal()
    prompt.type(f"{word}\r")
    assert prompt.end() == 0


def test_ctrl_c_at_the_prompt_drops_the_line(terminal):
    prompt = terminal()
    prompt.type("CreateZone name=never")
    prompt.read_until("never")
    prompt.interrupt_until(r"\n>>>$")
    assert "none" not in prompt.enter("QueryZone name=never fields=uuid")
    assert '"inventories": []' in prompt.screen


def test_tab_completes_apis_parameters_fields_and_joins(terminal):
    prompt = terminal()
    prompt.type("queryvmi\t")
    prompt.read_until("QueryVmInstance ")
    prompt.type("vmN\t")
    prompt.read_until(r"vmNics\.")
    prompt.type("l3\t")  # l3Network. and l3NetworkUuid=
    prompt.read_until("l3Network")
    prompt.type(".zo\t")
    prompt.read_until("zone")
    prompt.type(".na\t")
    prompt.read_until("name=")
    prompt.type("x' '__sys\t".replace("' '", " "))
    prompt.read_until("__systemTag__=")
    prompt.type("x sortD\t")
    prompt.read_until("sortDirection=")
    prompt.type("d\t")
    prompt.read_until("desc ")
    shown = prompt.enter("")
    assert '"inventories": []' in shown


def test_tab_lists_apis_by_a_part_of_their_name(terminal):
    prompt = terminal()
    prompt.type("zone\t")
    shown = prompt.read_until(r">>>zone\x07?$")
    assert "CreateZone" in shown and "QueryZone" in shown
    prompt.type("\x15")


def test_tab_offers_the_uuid_of_what_has_a_name(terminal, logged_in):
    """No name begins with a hex digit: the terminal writes over what is the same in a uuid."""
    first = created(logged_in, "CreateZone", "name=zeeland one")
    second = created(logged_in, "CreateZone", "name=zurich-1")
    third = created(logged_in, "CreateZone", "name=zurich-2")
    prompt = terminal()
    prompt.type("CreateCluster zoneUuid=zeel\t")
    prompt.read_until(f"{first} ")
    prompt.type("\x15QueryHost zoneUuid?=zur\t")
    prompt.read_until("zurich-")
    prompt.type("2\t")
    prompt.read_until(third)
    prompt.type(",ich-1\t")
    prompt.read_until(second)
    prompt.type("\x15DeleteZone uuid=land\t")
    prompt.read_until(first)
    assert '"success": true' in prompt.enter("")


def test_a_quoted_value_of_several_lines_may_be_pasted(terminal):
    prompt = terminal()
    prompt.type("CreateZone name=pasted description='first: [a,b]\r")
    prompt.read_until(r"\.\.\.$")
    prompt.type("  second\r")
    prompt.read_until(r"\.\.\.$")
    assert '"description": "first: [a,b]\\n  second\\nthird"' in prompt.enter("third'")


def test_history_more_and_save(terminal, cloud, tmp_path):
    prompt = terminal()
    prompt.enter(f"LogInByAccount accountName=admin password={cloud.password}")
    prompt.enter("QueryAccount name=admin fields=name")
    prompt.enter("QueryAccount nme=admin")
    prompt.enter("CreateZone name=z description='rootPassword::hunter2'")
    shown = prompt.enter("history")
    assert "QueryAccount name=admin" in shown
    listed = prompt.enter("more")
    assert "3 ! QueryAccount nme=admin" in listed
    assert "2   QueryAccount name=admin" in listed
    assert "saved" in prompt.enter(f"save 2,4 {tmp_path}")
    saved = json.loads((tmp_path / "QueryAccount-2.json").read_text())
    assert saved == {"inventories": [{"name": "admin"}], "success": True}
    assert "failed and has no result" in prompt.enter("save 3")
    assert "no command 99" in prompt.enter("more 99")
    prompt.type("\x04")
    prompt.end()
    kept = tmp_path / ".steppe" / "history"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert cloud.password not in kept.read_text()
    assert "hunter2" not in kept.read_text()
    again = terminal()
    assert "QueryAccount name=admin" in again.enter("history")
    again.type("\x1b[A\x1b[A")  # up, up
    again.read_until("save 3|more 99")


class _Slow(BaseHTTPRequestHandler):
    """An image that never ends."""

    stop = threading.Event()

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Length", str(10 * 2**20))
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        while not self.stop.wait(0.1):
            try:
                self.wfile.write(b"x" * 4096)
            except OSError:
                return

    def log_message(self, *_):
        pass


def test_ctrl_c_cancels_the_job_and_the_session_goes_on(terminal, logged_in):
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        store = created(logged_in, "AddImageStoreBackupStorage", "name=s", "url=/images")
        prompt = terminal()
        url = f"http://127.0.0.1:{server.server_address[1]}/slow.raw"
        prompt.type(f"AddImage name=endless url={url} format=raw backupStorageUuids={store}\r")
        prompt.read_until("%|download|image")
        prompt.read_until("%|[0-9]")
        prompt.interrupt()
        prompt.read_until("cancelling job")
        prompt.read_until(r"\n[^\n]*>>>$")
        assert '"inventories": []' in prompt.enter("QueryImage name=endless")
    finally:
        _Slow.stop.set()
        server.shutdown()


def test_commands_from_a_pipe(logged_in):
    status, out, errors = logged_in(stdin="QueryAccount name=admin count=true\nNoSuchApi\nQueryZone count=true\n")
    assert status == 1
    assert out.count('"success": true') == 2
    assert "NoSuchApi" in errors
    assert ">>>" not in out


def test_outputs(logged_in):
    import yaml

    created(logged_in, "CreateZone", "name=shown", "description=two\nlines: yes")
    by_json = json.loads(logged_in("QueryZone", "name=shown")[1])
    assert yaml.safe_load(logged_in("--output", "yaml", "QueryZone", "name=shown")[1]) == by_json
    table = logged_in("--output=table", "QueryZone", "name=shown", "fields=name,uuid")[1].splitlines()
    assert table[0].split() == ["name", "uuid"]
    assert table[1].split() == ["shown", by_json["inventories"][0]["uuid"]]
    assert logged_in("--output=xml", "QueryZone")[0] == 1


def test_errors_are_red_on_a_terminal_only(environment, logged_in):
    at_terminal = Terminal(environment, "NoSuch")
    at_terminal.read_until("is not an API message")
    assert at_terminal.end() == 1
    assert "\x1b[31m" in at_terminal.raw
    assert "\x1b" not in logged_in("NoSuch")[2]
