"""TLS towards a real Mosquitto: verified always, and what is wrong is named."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import Mosquitto, settings, until, uplink
from paper_ledger import write

from gateway.uplink.account import read_cursors, read_state


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, stderr=subprocess.DEVNULL)


def authority(directory: Path, name: str) -> Path:
    certificate = directory / f"{name}.pem"
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650",
            "-keyout", directory / f"{name}.key", "-out", certificate, "-subj", f"/CN={name}")  # fmt: skip
    return certificate


def issued(directory: Path, name: str, ca: str, host: str) -> Path:
    """A certificate of the authority `ca` for `host`; its key lies beside it."""
    request, extensions = directory / f"{name}.csr", directory / f"{name}.ext"
    extensions.write_text(f"subjectAltName=DNS:{host}\n")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
            directory / f"{name}.key", "-out", request, "-subj", f"/CN={name}")  # fmt: skip
    openssl("x509", "-req", "-in", request, "-CA", directory / f"{ca}.pem", "-CAkey", directory / f"{ca}.key",
            "-CAcreateserial", "-days", "3650", "-extfile", extensions, "-out", directory / f"{name}.pem")  # fmt: skip
    return directory / f"{name}.pem"


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    for name in ("ca", "stranger"):
        authority(tmp_path, name)
    issued(tmp_path, "broker", "ca", "localhost")
    issued(tmp_path, "gateway", "ca", "gw-1")
    return tmp_path


@pytest.fixture
def secured(mosquitto: Mosquitto, certificates: Path) -> Mosquitto:
    """Mosquitto that wants TLS and a certificate of the gateway."""
    mosquitto.stop()
    where = certificates
    mosquitto.config = (
        f"allow_anonymous true\ncafile {where}/ca.pem\ncertfile {where}/broker.pem\nkeyfile {where}/broker.key\n"
        "require_certificate true\n"
    )
    mosquitto.start()
    return mosquitto


def state(store: Path) -> dict[str, Any]:
    return read_state(store / "uplink") or {}


def tls(port: int, where: Path, host: str = "localhost", **changed: Any) -> dict[str, Any]:
    files = {"ca_file": where / "ca.pem", "cert_file": where / "gateway.pem", "key_file": where / "gateway.key"}
    return {"url": f"mqtts://{host}:{port}", "no_subscriber": "accept", **files, **changed}


async def test_with_its_certificate_the_gateway_delivers_long_batches(
    store: Path, secured: Mosquitto, certificates: Path
) -> None:
    write(store, {"readings": 3000})
    async with uplink(settings(store, 0, **tls(secured.port, certificates))):
        await until(lambda: state(store).get("streams", {}).get("readings", {}).get("cursor") == 3000)
    assert read_cursors(store / "uplink", 1_700_000_000_000)["readings"].seq == 3000


@pytest.mark.parametrize(
    ("host", "changed", "kind"),
    [
        ("localhost", {"ca_file": "stranger.pem"}, "tls_failed"),
        ("127.0.0.1", {}, "tls_failed"),
        ("localhost", {"ca_file": "absent.pem"}, "files"),
        ("localhost", {"key_file": "broker.key"}, "files"),
    ],
    ids=["a stranger signed it", "it is for another name", "no such file", "the key is another one's"],
)
async def test_what_is_wrong_with_tls_is_named_and_nothing_is_sent(
    store: Path, secured: Mosquitto, certificates: Path, host: str, changed: dict[str, str], kind: str
) -> None:
    write(store, {"readings": 3})
    files = {name: certificates / file for name, file in changed.items()}
    async with uplink(settings(store, 0, **tls(secured.port, certificates, host, **files))):
        await until(lambda: state(store).get("error"))
        assert state(store)["error"]["kind"] == kind
        assert state(store)["streams"]["readings"]["cursor"] == 0
