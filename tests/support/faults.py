"""What goes wrong on the way: replies for the ``faults`` of a ``WebServer``."""

import contextlib
import gzip
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.message import Message

from support.web_server import Answer, Around, Reply, Request


def rate_limited(reset_s: int = 1, kind: str = "api") -> Reply:
    """Return the hub's answer to too many requests."""
    headers = {
        "RateLimit": f'"{kind}";r=0;t={reset_s}', "RateLimit-Policy": f'"fixed window";"{kind}";q=500;w=300',
        "Retry-After": str(reset_s),
    }  # fmt: skip
    return Reply(429, headers, b'{"error":"We had to rate limit you"}')


def broken(status: int = 503) -> Reply:
    """Return the page of a server that fails."""
    return Reply(status, {"Content-Type": "text/html"}, b"<html><body>Service unavailable</body></html>")


def html(status: int = 200) -> Reply:
    """Return a page where data was asked for, as captive portals do."""
    return Reply(
        status, {"Content-Type": "text/html; charset=utf-8"}, b"<!doctype html><p>Please log in.</p>"
    )


def redirect(to: str, status: int = 302) -> Reply:
    """Return a redirect to any address, ``file:///etc/passwd`` and other hosts included."""
    return Reply(status, {"Location": to})


def redirect_loop(request: Request) -> Reply:
    """Return a redirect to where the request came to."""
    return redirect(request.target)


def on_localhost(url: str) -> str:
    """Return the same server under another host name."""
    return url.replace("//127.0.0.1", "//localhost", 1)


def huge_json(size: int = 200_000_000) -> Reply:
    """Return a JSON list of at least this many bytes, made while it is sent."""
    row = b'{"rfilename":"' + b"x" * 65_000 + b'"},'

    def stream() -> Iterator[bytes]:
        yield b'{"siblings":['
        for _ in range(-(-size // len(row))):
            yield row
        yield b"{}]}"

    return Reply(200, {"Content-Type": "application/json"}, stream, chunked=True)


def slow(delay_s: float) -> Around:
    """Return the ordinary answer later."""
    return _changed(lambda reply: replace(reply, delay_s=delay_s))


def together(count: int, timeout_s: float = 60) -> Around:
    """Return the ordinary answer once so many requests wait for theirs, or after the time-out."""
    barrier = threading.Barrier(count, timeout=timeout_s)

    def held(request: Request, normal: Callable[[Request], Answer]) -> Answer:
        with contextlib.suppress(threading.BrokenBarrierError):
            barrier.wait()
        return normal(request)

    return Around(held)


def dripping(size: int, pause_s: float) -> Around:
    """Return the ordinary answer a few bytes at a time."""
    return _changed(lambda reply: replace(reply, drip=(size, pause_s)))


def cut(after: int) -> Around:
    """Return the ordinary answer and hang up within its body."""
    return _changed(lambda reply: replace(reply, cut_after=after))


def lying_length(more: int) -> Around:
    """Return the ordinary answer with a length that is off by so many bytes."""
    return _changed(lambda reply: _with(reply, "Content-Length", str(len(_body(reply)) + more)))


def wrong_range(stated: str) -> Around:
    """Return the ordinary part of a file and say that it is another one."""
    return _changed(lambda reply: _with(reply, "Content-Range", stated))


def gzipped() -> Around:
    """Return the ordinary answer compressed, whether that was asked for or not."""
    return _changed(
        lambda reply: _with(replace(reply, body=gzip.compress(_body(reply))), "Content-Encoding", "gzip")
    )


def ignoring_range() -> Around:
    """Return the whole file whatever part was asked for."""

    def whole(request: Request, normal: Callable[[Request], Answer]) -> Answer:
        headers = Message()
        for key, value in request.headers.items():
            if key.lower() != "range":
                headers[key] = value
        return normal(replace(request, headers=headers))

    return Around(whole)


def _changed(change: Callable[[Reply], Reply]) -> Around:
    def alter(request: Request, normal: Callable[[Request], Answer]) -> Answer:
        reply = normal(request)
        return change(reply) if isinstance(reply, Reply) else reply

    return Around(alter)


def _with(reply: Reply, key: str, value: str) -> Reply:
    return replace(reply, headers={**reply.headers, key: value})


def _body(reply: Reply) -> bytes:
    return reply.body if isinstance(reply.body, bytes) else b"".join(reply.body())
