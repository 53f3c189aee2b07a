"""
The guard against the addresses it is there for, in a network namespace that holds nothing else.

Private and metadata addresses are loopback's own in there, and a server listens on all of them: so
a guard that fails is seen to fail, and harms nobody.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.live

ROOT = Path(__file__).parent.parent.parent
PORT = 8080
ADDRESSES = {
    "10.0.0.1": "http://10.0.0.1",
    "100.100.100.200": "http://100.100.100.200",
    "127.0.0.1": "http://127.0.0.1",
    "168.63.129.16": "http://168.63.129.16",
    "169.254.169.254": "http://2852039166",
    "172.16.0.1": "http://0254.020.0.01",
    "192.168.0.1": "http://[::ffff:192.168.0.1]",
    "::1": "http://[::1]",
    "2002:a00:1::1": "http://[2002:a00:1::1]",
    "64:ff9b::a00:1": "http://[64:ff9b::10.0.0.1]",
    "fd00:ec2::254": "http://[fd00:ec2::254]",
}

# Redirects from an open address to each of them, besides the addresses themselves.
INSIDE = """
import asyncio, json, sys
from app.clock import SystemClock
from app.titles.fetch import Fetcher
from app.titles.guard import Guard, opening

async def main(urls, port, guarded):
    seen = []

    async def serve(reader, writer):
        path = (await reader.readuntil(b"\\r\\n\\r\\n")).split()[1].decode()
        local = writer.get_extra_info("sockname")[0]
        if local == "8.8.8.8":
            head = f"HTTP/1.1 302 Found\\r\\nLocation: {urls[int(path[1:])]}"
        else:
            seen.append(local)
            head = "HTTP/1.1 200 OK\\r\\nContent-Type: text/html"
        writer.write(f"{head}\\r\\nContent-Length: 0\\r\\n\\r\\n".encode())
        await writer.drain()
        writer.close()

    servers = [await asyncio.start_server(serve, host, port) for host in ("0.0.0.0", "::")]
    guard = Guard() if guarded else None
    async with Fetcher(SystemClock(), guard=guard) as fetcher:
        asked = urls + [f"http://8.8.8.8:{port}/{n}" for n in range(len(urls))]
        results = [await fetcher.fetch(url, timeout_s=5) for url in asked]
    for server in servers:
        server.close()
    print(json.dumps([[str(result.error and result.error.code) for result in results], seen]))

asyncio.run(main(*json.loads(sys.argv[1])))
"""

OWN = {"127.0.0.1", "::1"}  # which loopback has anyway
NAMESPACE = ["unshare", "--map-root-user", "--net"]


def in_namespace(guarded: bool) -> tuple[list[str], list[str]]:
    """The codes of all fetches in there, and the addresses that were connected to."""
    if shutil.which("ip") is None or subprocess.call(
        [*NAMESPACE, "true"], stderr=subprocess.DEVNULL
    ):
        pytest.skip("no network namespaces here")
    lines = ["set -e", "ip link set lo up"]
    lines += [f"ip addr add {one} dev lo" for one in ("8.8.8.8", *ADDRESSES) if one not in OWN]
    script = "\n".join([*lines, 'exec "$@"'])
    given = json.dumps([[f"{url}:{PORT}/" for url in ADDRESSES.values()], PORT, guarded])
    done = subprocess.run(
        [*NAMESPACE, "sh", "-c", script, "sh", sys.executable, "-c", INSIDE, given],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    codes, seen = json.loads(done.stdout)
    return codes, seen


def test_no_private_or_metadata_address_is_connected_to() -> None:
    """Neither directly, in any notation, nor by a redirect from a public one."""
    codes, seen = in_namespace(guarded=True)

    assert ["blocked"] * 2 * len(ADDRESSES) == codes
    assert [] == seen


def test_without_the_guard_all_of_them_are() -> None:
    """So the test above could fail."""
    codes, seen = in_namespace(guarded=False)

    assert ["no_title"] * 2 * len(ADDRESSES) == codes
    assert set(ADDRESSES) == {address.removeprefix("::ffff:") for address in seen}
