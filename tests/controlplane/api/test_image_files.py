"""The door by which a host sends an image that it made of a volume."""

import httpx

from controlplane.agents.authority import Authority
from controlplane.api import image_files
from controlplane.api.app import create_app
from controlplane.store import rows
from controlplane.workflows.image_template import upload_subject

IMAGE, STORE = "1" * 32, "2" * 32


async def test_only_the_host_that_was_told_to_may_send_an_image_and_only_once(api, tmp_path):
    api.world.authority = authority = Authority(tmp_path / "pki", ["127.0.0.1"])

    def insert(tx):
        rows.insert(tx, "BackupStorageVO", uuid=STORE, name="s", url="store", state="Enabled", status="Connected")
        image = {"name": "i", "url": "volume://x", "format": "qcow2", "media_type": "RootVolumeTemplate"}
        rows.insert(tx, "ImageVO", uuid=IMAGE, state="Enabled", status="Downloading", **image)
        ref = {"backup_storage_uuid": STORE, "install_path": f"{IMAGE}/{IMAGE}.qcow2", "status": "Downloading"}
        rows.insert(tx, "ImageBackupStorageRefVO", image_uuid=IMAGE, **ref)

    await api.world.db.write(insert)

    app = create_app(api.world, api.engine, [image_files.router(api.world, api.engine)])
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://steppe.test")

    async def send(token, method="PUT"):
        headers = {"Authorization": f"Bearer {token}"}
        return await http.request(method, f"/v1/image-files/{IMAGE}", content=b"bytes", headers=headers)

    for token in ("", "1.x", authority.image_token(IMAGE), authority.image_token(upload_subject("3" * 32))):
        assert (await send(token)).status_code == 403
    session = api.http.headers["Authorization"].removeprefix("OAuth ")
    assert (await send(session)).status_code == 403, "a session is no token"
    good = authority.image_token(upload_subject(IMAGE))
    assert (await send(good)).status_code == 200
    assert (tmp_path / "images/store" / IMAGE / "uploaded").read_bytes() == b"bytes"
    assert (await send(good)).json()["error"]["code"] == "SYS.1006"
    await api.world.db.write(lambda tx: rows.update(tx, "ImageVO", IMAGE, status="Ready"))
    assert "awaits no upload" in (await send(good)).text
    assert (await send(good, "GET")).status_code == 403, "nor may it be used to read"
