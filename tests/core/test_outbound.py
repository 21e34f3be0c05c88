"""The guarded client: hostile URLs go nowhere; a server that would be hit if the guard failed stays alone."""

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from core import outbound
from core.outbound import OutboundError, RefusedUrl, TooLarge, TooSlow, Unreachable, fetch, post
from core.public_addresses import is_public

ALONE = "127.84.71.3"  # an address of this machine that no other server listens on


class Server:
    """Answers every request with the same bytes; counts connections and keeps what it was sent."""

    def __init__(self, port: int) -> None:
        self.port, self.hits = port, 0
        self.heard: list[str] = []
        self.answers: list[bytes] = [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"]

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.hits += 1
        try:
            self.heard.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(self.answers[0] if len(self.answers) == 1 else self.answers.pop(0))
            await writer.drain()
            await asyncio.sleep(0 if b"content-length" in self.answers[0] else 5)
            writer.close()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass


Start = Callable[..., Awaitable[Server]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    running = []

    async def begin(host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> Server:
        server = Server(port)
        listening = await asyncio.start_server(server.talk, host, port, ssl=tls)
        server.port = listening.sockets[0].getsockname()[1]
        running.append(listening)
        return server

    yield begin
    for listening in running:
        listening.close()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """A DNS of our own: by name, the addresses it gives the first time, the second time, and ever after."""
    table: dict[str, list[list[str]]] = {}
    real_getaddrinfo = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        answers = table.get(host.decode() if isinstance(host, bytes) else host)
        if answers is None:
            return real_getaddrinfo(host, port, *args, **kwargs)
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        family = {True: socket.AF_INET6, False: socket.AF_INET}
        return [
            (family[":" in address], socket.SOCK_STREAM, 6, "", (address, int(port))) for address in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return table


async def refused(url: str) -> str:
    with pytest.raises(OutboundError) as raised:
        await fetch(url, most_bytes=100, within_s=1.0)
    assert isinstance(raised.value, RefusedUrl | Unreachable | TooSlow)
    return str(raised.value)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.0.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.192", "192.0.2.1", "198.18.0.1",
        "198.51.100.7", "203.0.113.7", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.88.99.1",
        "168.63.129.16", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "2002:7f00:1::",
        "2002:0a00:0001::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2001::1",
        "2001:db8::1", "3fff::1", "100::1", "5f00::1", "4000::1", "nonsense", "",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_known_as_such(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001::1", "64:ff9b::808:808",
     "::ffff:8.8.8.8", "172.32.0.1", "100.128.0.1"],
)  # fmt: skip
def test_a_public_address_is_known_as_such(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.com/", "must begin with https"),
        ("ftp://example.com/", "must begin with https"),
        ("file:///etc/passwd", "names no host"),
        ("gopher://example.com:6379/_x", "must begin with https"),
        ("javascript:alert(1)", "names no host"),
        ("//example.com/", "must begin with https"),
        ("", "names no host"),
        ("https://", "names no host"),
        ("https://./", "names no host"),
        ("https://user:secret@example.com/", "user name or password"),
        ("https://user@example.com/", "user name or password"),
        ("https://example.com:22/", "port must be 443"),
        ("https://example.com:6379/", "port must be 443"),
        ("https://example.com:99999/", "port must be 443"),
        ("https://exa\x00mple.com/", "not a URL"),
        ("https://example.com/\r\nHost: other", "not a URL"),
        ("https://[::1", "not a URL"),
        ("https://example.com/" + "a" * 2000, "longer than"),
        ("https://localhost/", "found on the public internet"),
        ("https://localhost./", "found on the public internet"),
        ("https://LOCALHOST/", "found on the public internet"),
        ("https://127.0.0.1/", "found on the public internet"),
        ("https://127.1/", "found on the public internet"),
        ("https://2130706433/", "found on the public internet"),
        ("https://0x7f000001/", "found on the public internet"),
        ("https://0177.0.0.1/", "not a URL"),
        ("https://0/", "found on the public internet"),
        ("https://[::1]/", "found on the public internet"),
        ("https://[::]/", "found on the public internet"),
        ("https://[::ffff:127.0.0.1]/", "found on the public internet"),
        ("https://[::ffff:7f00:1]/", "found on the public internet"),
        ("https://[64:ff9b::7f00:1]/", "found on the public internet"),
        ("https://[2002:7f00:1::]/", "found on the public internet"),
        ("https://169.254.169.254/latest/meta-data/", "found on the public internet"),
        ("https://[fd00:ec2::254]/latest/", "found on the public internet"),
        ("https://no-such-host.invalid/", "cannot be found"),
    ],
)
async def test_a_hostile_url_goes_nowhere(url: str, words: str) -> None:
    assert words in await refused(url)


async def test_a_private_address_sees_no_connection(settings: Any, start: Start) -> None:
    settings.OUTBOUND_ALLOW_HTTP = True
    server = await start(ALONE, 8080)
    assert "found on the public internet" in await refused(f"http://{ALONE}:8080/")
    assert server.hits == 0


async def test_one_private_address_among_public_ones_refuses_the_name(
    settings: Any, start: Start, names: dict[str, list[list[str]]]
) -> None:
    settings.OUTBOUND_ALLOW_HTTP = True
    server = await start(ALONE, 8080)
    names["mixed.example"] = [["93.184.216.34", ALONE]]
    assert "found on the public internet" in await refused("http://mixed.example:8080/")
    assert server.hits == 0


async def test_a_name_that_changes_its_answer_gains_nothing(
    settings: Any, start: Start, names: dict[str, list[list[str]]]
) -> None:
    settings.OUTBOUND_ALLOW_HTTP = True
    server = await start(ALONE, 8080)
    # 192.31.196.1 is public by the registry but no host's (AS112); a network may answer for it.
    names["rebinds.example"] = [["192.31.196.1"], [ALONE]]
    with suppress(OutboundError):
        await fetch("http://rebinds.example:8080/", most_bytes=100_000, within_s=1)
    assert server.hits == 0
    assert len(names["rebinds.example"]) == 1  # asked once


async def test_a_redirect_into_private_space_is_refused(settings: Any, start: Start) -> None:
    outside, inside = await start(), await start(ALONE, 8080)
    settings.OUTBOUND_ALLOW_HTTP = True
    settings.OUTBOUND_ALLOWED_HOSTS = [f"127.0.0.1:{outside.port}"]
    there = f"HTTP/1.1 302 Found\r\nlocation: http://{ALONE}:8080/\r\ncontent-length: 0\r\n\r\n"
    outside.answers = [there.encode()]
    assert "found on the public internet" in await refused(f"http://127.0.0.1:{outside.port}/")
    assert (outside.hits, inside.hits) == (1, 0)


async def test_redirects_end_and_a_post_follows_none(settings: Any, start: Start) -> None:
    server = await start()
    url = f"http://127.0.0.1:{server.port}/"
    settings.OUTBOUND_ALLOWED_HOSTS = [f"127.0.0.1:{server.port}"]
    server.answers = [b"HTTP/1.1 307 Again\r\nlocation: /round\r\ncontent-length: 0\r\n\r\n"]
    assert "redirects more than 3 times" in await refused(url)
    assert server.hits == 4
    assert (await post(url, b"x", {}, within_s=2)).status == 307
    assert server.hits == 5


async def test_an_operators_host_is_called_by_its_name_at_the_checked_address(
    settings: Any, start: Start, names: dict[str, list[list[str]]]
) -> None:
    server = await start(ALONE)
    settings.OUTBOUND_ALLOWED_HOSTS = [f"hooks.example:{server.port}"]
    names["hooks.example"] = [["127.84.71.9", ALONE]]  # no server listens on the first
    answer = await post(f"http://hooks.example:{server.port}/in?a=1", b"{}", {"x-a": "1"}, within_s=2)
    assert (answer.status, answer.body) == (200, b"ok")
    assert server.heard[0].startswith("POST /in?a=1 HTTP/1.1\r\n")
    assert f"host: hooks.example:{server.port}\r\n" in server.heard[0].lower()
    names["hooks.example"] = [[ALONE]]
    assert "port must be" in await refused("https://hooks.example:1234/")


def _certificate_for(name: str, folder: Path) -> tuple[Path, Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder(who, who, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, private = folder / "cert.pem", folder / "key.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pem, private


async def test_tls_is_checked_against_the_name_not_the_address(
    settings: Any,
    start: Start,
    names: dict[str, list[list[str]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pem, private = _certificate_for("hooks.example", tmp_path)
    of_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    of_server.load_cert_chain(pem, private)
    server = await start(ALONE, tls=of_server)
    names["hooks.example"] = names["other.example"] = [[ALONE]]
    settings.OUTBOUND_ALLOWED_HOSTS = [f"hooks.example:{server.port}", f"other.example:{server.port}"]
    with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
        await post(f"https://hooks.example:{server.port}/", b"", {}, within_s=2)

    monkeypatch.setattr(httpx, "create_ssl_context", lambda **_: ssl.create_default_context(cafile=str(pem)))
    outbound._tls.cache_clear()
    try:
        assert (await post(f"https://hooks.example:{server.port}/", b"", {}, within_s=2)).status == 200
        with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
            await post(f"https://other.example:{server.port}/", b"", {}, within_s=2)
    finally:
        outbound._tls.cache_clear()
    assert len(server.heard) == 1


async def test_an_answer_too_large_is_left_unread(settings: Any, start: Start) -> None:
    server = await start()
    url = f"http://127.0.0.1:{server.port}/"
    settings.OUTBOUND_ALLOWED_HOSTS = [f"127.0.0.1:{server.port}"]
    server.answers = [b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n" + b"x" * 5000]
    with pytest.raises(TooLarge):
        await fetch(url, most_bytes=4999, within_s=2)
    assert len((await fetch(url, most_bytes=5000, within_s=2)).body) == 5000
    assert len((await post(url, b"", {}, within_s=2)).body) == 2000


async def test_a_gzip_bomb_is_counted_unpacked(settings: Any, start: Start) -> None:
    server = await start()
    url = f"http://127.0.0.1:{server.port}/"
    settings.OUTBOUND_ALLOWED_HOSTS = [f"127.0.0.1:{server.port}"]
    bomb = gzip.compress(b"0" * 50_000_000)
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(bomb)}\r\n\r\n"
    server.answers = [head.encode() + bomb]
    with pytest.raises(TooLarge):
        await fetch(url, most_bytes=1_000_000, within_s=5)


@pytest.mark.parametrize(
    "begun",
    [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n"],
    ids=["silence", "half a head", "half a body"],
)
async def test_a_slow_answer_is_given_up(settings: Any, start: Start, begun: bytes) -> None:
    server = await start()
    settings.OUTBOUND_ALLOWED_HOSTS = [f"127.0.0.1:{server.port}"]
    server.answers = [begun]
    with pytest.raises(TooSlow, match=r"within 0.3 s"):
        await fetch(f"http://127.0.0.1:{server.port}/", most_bytes=1000, within_s=0.3)


async def test_what_is_not_http_is_unreachable(settings: Any, start: Start) -> None:
    server = await start()
    settings.OUTBOUND_ALLOWED_HOSTS = [f"127.0.0.1:{server.port}"]
    server.answers = [b"SSH-2.0-OpenSSH content-length\r\n"]
    with pytest.raises(Unreachable, match="did not answer"):
        await fetch(f"http://127.0.0.1:{server.port}/", most_bytes=1000, within_s=1)


async def test_a_proxy_in_the_environment_is_not_used(
    settings: Any, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, proxy = await start(), await start()
    settings.OUTBOUND_ALLOWED_HOSTS = [f"127.0.0.1:{server.port}"]
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
    assert (await fetch(f"http://127.0.0.1:{server.port}/", most_bytes=9, within_s=1)).body == b"ok"
    assert proxy.hits == 0
