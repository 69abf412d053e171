"""Images: where they come from, what is refused of them, and that a refused one leaves nothing. Real files, real HTTP."""

import hashlib
import http.server
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from controlplane.api import image_files
from controlplane.api.app import create_app
from controlplane.contract.error import ApiError
from controlplane.services.account import ensure_admin, sha512


class Source(http.server.ThreadingHTTPServer):
    """Serves `files` by path with ranges and an ETag; the first `breaks` answers stop half-way."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.breaks = 0
        self.ranges: list[str | None] = []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Source

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        source = self.server
        wanted = self.headers.get("Range")
        source.ranges.append(wanted)
        if self.path in source.redirects:
            self.send_response(302)
            self.send_header("Location", source.redirects[self.path])
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if self.path not in source.files:
            return self.send_error(404)
        content = source.files[self.path]
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{hashlib.md5(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if source.breaks:
            source.breaks -= 1
            self.wfile.write(content[start : start + (len(content) - start) // 2])
            self.close_connection = True
            return None
        self.wfile.write(content[start:])
        return None


@pytest.fixture
def source() -> Iterator[Source]:
    server = Source()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def disk(tmp_path: Path) -> bytes:
    """A qcow2 file with something in it."""
    raw, made = tmp_path / "raw", tmp_path / "made.qcow2"
    raw.write_bytes(bytes(range(256)) * 4096 * 2)
    subprocess.run(["qemu-img", "convert", "-q", "-O", "qcow2", raw, made], check=True)
    return made.read_bytes()


@pytest.fixture
async def store(cloud):
    made = await cloud.call("AddImageStoreBackupStorage", name="store", url="/store")
    await cloud.call("AttachBackupStorageToZone", backupStorageUuid=made["uuid"], zoneUuid=cloud.zone)
    return made["uuid"]


def files(cloud) -> list[str]:
    folder = cloud.world.settings.state_dir / "images"
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


async def add(cloud, store, url, **parameters):
    return await cloud.call(
        "AddImage", **{"name": "image", "url": url, "format": "qcow2", "backupStorageUuids": [store], **parameters}
    )


async def refusal(cloud, store, url, **parameters):
    before = {row["uuid"] for row in await cloud.find("ImageVO")}
    with pytest.raises(ApiError) as failure:
        await add(cloud, store, url, **parameters)
    assert {row["uuid"] for row in await cloud.find("ImageVO")} == before, "a refused image leaves no row"
    assert await cloud.find("ImageBackupStorageRefVO") == []
    assert files(cloud) == [], "a refused image leaves no file"
    return failure.value.error


async def test_a_download_that_breaks_goes_on_where_it_stopped(cloud, store, source, disk):
    source.files["/disk"] = disk
    source.breaks = 2
    image = await add(cloud, store, source.url("/disk"), sha256=hashlib.sha256(disk).hexdigest())
    assert (image["status"], image["size"], image["actualSize"]) == ("Ready", 2 << 20, len(disk))
    assert image["md5Sum"] == hashlib.md5(disk).hexdigest()
    first, *others = source.ranges
    starts = [int(wanted.removeprefix("bytes=").rstrip("-")) for wanted in others if wanted]
    assert first is None
    assert len(starts) == 2
    assert 0 < starts[0] <= starts[1] < len(disk)
    assert files(cloud) == [f"{image['uuid']}.qcow2"]
    assert image["backupStorageRefs"][0]["status"] == "Ready"


async def test_what_is_not_there(cloud, store, source):
    error = await refusal(cloud, store, source.url("/none"))
    assert (error.code, "404" in error.details) == ("IMG.1000", True)
    error = await refusal(cloud, store, "http://127.0.0.1:9/disk")
    assert (error.code, "refused" in error.details) == ("IMG.1000", True)


async def test_a_wrong_checksum(cloud, store, source, disk):
    source.files["/disk"] = disk
    error = await refusal(cloud, store, source.url("/disk"), sha256="0" * 64)
    assert error.code == "IMG.1000"
    assert error.field == "sha256"
    assert hashlib.sha256(disk).hexdigest() in error.details


@pytest.mark.parametrize(
    ("content", "image_format", "says"),
    [
        (b"<html>not found</html>" * 100, "qcow2", "neither qcow2"),
        (b"", "raw", "empty"),
        (b"x" * 700, "raw", "multiple of 512"),
        (b"\0" * 40000, "iso", "neither qcow2 nor ISO"),
    ],
)
async def test_a_file_that_is_not_what_was_said(cloud, store, source, content, image_format, says):
    source.files["/disk"] = content
    error = await refusal(cloud, store, source.url("/disk"), format=image_format)
    assert error.code == "IMG.1000"
    assert says in error.details


async def test_a_qcow2_that_would_open_other_files_of_the_host(cloud, store, source, tmp_path):
    secret, made = tmp_path / "secret", tmp_path / "overlay.qcow2"
    secret.write_bytes(b"\0" * 1024)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", secret, made], check=True)
    source.files["/disk"] = made.read_bytes()
    error = await refusal(cloud, store, source.url("/disk"))
    assert "backing file" in error.details


async def test_a_redirect_to_another_scheme(cloud, store, source):
    source.redirects["/disk"] = "file:///etc/passwd"
    assert "not http(s)" in (await refusal(cloud, store, source.url("/disk"))).details
    source.redirects["/disk"] = source.url("/disk")
    assert "redirects more than" in (await refusal(cloud, store, source.url("/disk"))).details


async def test_files_of_this_machine_only_from_allowed_folders(cloud, store, tmp_path, disk):
    allowed = tmp_path / "import"
    allowed.mkdir(exist_ok=True)
    (tmp_path / "outside.qcow2").write_bytes(disk)
    (allowed / "link.qcow2").symlink_to(tmp_path / "outside.qcow2")
    for url in (
        f"file://{tmp_path}/outside.qcow2",
        f"file://{allowed}/link.qcow2",
        f"file://{allowed}/../outside.qcow2",
    ):
        error = await refusal(cloud, store, url)
        assert (error.code, error.field) == ("SYS.1007", "url")
        assert str(allowed) in error.details
    (allowed / "good.qcow2").write_bytes(disk)
    assert (await add(cloud, store, f"file://{allowed}/good.qcow2"))["status"] == "Ready"


@pytest.mark.parametrize("url", ["ftp://host/x", "http://", "http://user:secret@host/x", "nonsense"])
async def test_urls_that_can_never_be_fetched(cloud, store, url):
    error = await refusal(cloud, store, url)
    assert (error.code, error.field) == ("SYS.1007", "url")
    assert "secret" not in error.details


async def test_no_store_can_take_it(cloud, store, source):
    await cloud.call("ChangeBackupStorageState", uuid=store, stateEvent="disable")
    error = await refusal(cloud, store, source.url("/disk"))
    assert (error.code, "Disabled" in error.details) == ("SYS.1006", True)


async def test_delete_recover_expunge(cloud, store, source, disk):
    source.files["/disk"] = disk
    image = (await add(cloud, store, source.url("/disk")))["uuid"]
    with pytest.raises(ApiError, match="not deleted"):
        await cloud.call("ExpungeImage", imageUuid=image)
    await cloud.call("DeleteImage", uuid=image)
    assert (await cloud.get("ImageVO", image))["status"] == "Deleted"
    with pytest.raises(ApiError, match="Deleted, it must be Ready"):
        await cloud.vm(imageUuid=image)
    assert (await cloud.call("RecoverImage", imageUuid=image))["status"] == "Ready"
    await cloud.call("DeleteImage", uuid=image)
    await cloud.call("ExpungeImage", imageUuid=image)
    assert await cloud.get("ImageVO", image) is None
    assert files(cloud) == []
    await cloud.call("DeleteImage", uuid=image)  # deleting what is absent is a success


async def test_an_upload(cloud, store, disk):
    """`PUT /v1/images/{uuid}/file` delivers; only for an image that waits for it, and only with a session."""
    world, engine = cloud.world, cloud.engine
    app = create_app(world, engine, [image_files.router(world, engine)])
    await world.db.write(lambda tx: ensure_admin(tx, "pw"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://steppe.test") as http:
        body = {"logInByAccount": {"accountName": "admin", "password": sha512("pw")}}
        session = (await http.put("/v1/accounts/login", json=body)).json()["inventory"]["uuid"]
        uuid = "5a" * 16
        params = {
            "name": "sent", "url": "upload://disk", "format": "qcow2", "backupStorageUuids": [store], "resourceUuid": uuid,
        }  # fmt: skip
        assert (await http.put(f"/v1/images/{uuid}/file", content=disk)).json()["error"]["code"] == "ID.1001"
        http.headers["Authorization"] = f"OAuth {session}"
        job = (await http.post("/v1/images", json={"params": params})).json()["location"]
        while (answer := await http.put(f"/v1/images/{uuid}/file", content=disk)).status_code != 200:
            assert answer.json()["error"]["code"] == "SYS.1003", answer.text  # the job has not begun yet
        assert answer.json() == {"size": len(disk), "sha256": hashlib.sha256(disk).hexdigest()}
        done = await http.get(job, params={"wait": 10})
        assert done.json()["inventory"]["status"] == "Ready"
        again = await http.put(f"/v1/images/{uuid}/file", content=disk)
        assert "awaits no upload" in again.json()["error"]["details"]
