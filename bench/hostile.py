"""
Pages that mean harm, and what each costs the fetcher: time, CPU and memory.

    python -m bench.hostile   two minutes, most of them spent waiting; prints a table

A server of this command's own, on loopback, sends each; a fresh process fetches it, with the limits
that the service has and a minute for the attempt. Memory is how far the peak of the process rises
above that of an ordinary page. Linux only: it comes from its /proc.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import brotli  # type: ignore[import-untyped]  # it has no annotations

from app.clock import SystemClock
from app.titles.fetch import Fetcher

CHECKOUT = Path(__file__).resolve().parent.parent
MIB = 1 << 20
BOMB_MIB = 256
ATTEMPT_S = 60.0

PAGE = b"<!doctype html><title>page</title>"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def said(*pieces: bytes) -> Answer:
    """All at once."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"".join(pieces))

    return answer


def dripped(begin: bytes, piece: bytes, pause_s: float) -> Answer:
    """A beginning, then a piece after each pause, for ever."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        while not writer.is_closing():
            await writer.drain()
            await asyncio.sleep(pause_s)
            writer.write(piece)

    return answer


def packed(coding: str, pack: Callable[[bytes], bytes], end: Callable[[], bytes]) -> Answer:
    """So many MiB of blanks, in a few kB."""
    blanks = b" " * MIB
    body = b"".join(pack(blanks) for _ in range(BOMB_MIB)) + end()
    coded = f"Content-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n"
    return said(HEAD, coded.encode(), body)


def pages() -> dict[str, Answer]:
    """The pages, by name; the first is ordinary."""
    gzip, br = zlib.compressobj(9, wbits=31), brotli.Compressor(quality=5)
    return {
        "ordinary": said(HEAD, b"Content-Length: %d\r\n\r\n" % len(PAGE), PAGE),
        f"gzip bomb, {BOMB_MIB} MiB": packed("gzip", gzip.compress, gzip.flush),
        f"br bomb, {BOMB_MIB} MiB": packed("br", br.process, br.finish),
        "endless page": dripped(HEAD + b"\r\n", b"<p>" * 20_000, 0),
        "endless attributes": dripped(HEAD + b"\r\n<p", b' a="b"' * 10_000, 0),
        "endless headers": dripped(HEAD, b"A: b\r\n" * 1_000, 0),
        "a byte a second": dripped(HEAD + b"\r\n<", b"p", 1),
        "headers of a byte a second": dripped(HEAD + b"A: ", b"a", 1),
        "silence": dripped(HEAD + b"\r\n<p>", b"", 1),
    }


async def serve(answers: list[Answer]) -> asyncio.Server:
    """A server that has the n-th answer at `/n`."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await answers[int(head.split()[1][1:])](writer)
            await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        writer.close()

    return await asyncio.start_server(handle, "127.0.0.1", 0)


async def fetched(ordinary: str, url: str) -> dict[str, object]:
    """What a page costs this process, beyond an ordinary one."""
    async with Fetcher(SystemClock(), guard=None) as fetcher:
        await fetcher.fetch(ordinary)
        peak_kb, began_s, cpu_s = _peak_kb(), time.perf_counter(), time.process_time()
        result = await fetcher.fetch(url, timeout_s=ATTEMPT_S)
        return {
            "ends as": str(result.error.code) if result.error else "ok",
            "bytes read": f"{result.bytes_read:,}",
            "seconds": f"{time.perf_counter() - began_s:.2f}",
            "CPU, ms": f"{1e3 * (time.process_time() - cpu_s):.0f}",
            "memory, MiB": f"{(_peak_kb() - peak_kb) / 1024:.1f}",
        }


def _peak_kb() -> int:
    """The largest resident set so far; `ru_maxrss` would begin at that of the parent process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


async def table() -> None:
    """Fetch each page in a process of its own, and print a line for it."""
    answers = pages()
    server = await serve(list(answers.values()))
    port = server.sockets[0].getsockname()[1]
    for number, name in enumerate(answers):
        urls = [f"http://127.0.0.1:{port}/{one}" for one in (0, number)]
        figures = await _in_a_process(urls)
        if number == 0:
            print(f"| page | {' | '.join(figures)} |\n| --- |{' ---: |' * len(figures)}")
        print(f"| {name} | {' | '.join(map(str, figures.values()))} |", flush=True)
    server.close()


async def _in_a_process(urls: list[str]) -> dict[str, object]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.hostile", *urls), stdout=subprocess.PIPE, cwd=CHECKOUT
    )
    output, _ = await process.communicate()
    figures: dict[str, object] = json.loads(output)
    return figures


def main() -> None:
    """The table; with two URLs, the figures of the second after the first."""
    parser = argparse.ArgumentParser(description="What pages that mean harm cost the fetcher.")
    parser.add_argument("urls", nargs="*", help=argparse.SUPPRESS)
    urls = parser.parse_args().urls
    if urls:
        print(json.dumps(asyncio.run(fetched(*urls))))
    else:
        asyncio.run(table())


if __name__ == "__main__":
    main()
