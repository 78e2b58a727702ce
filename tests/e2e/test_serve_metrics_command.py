"""``hwledger serve-metrics`` as Prometheus scrapes it."""

import re
import subprocess
import sys
import time
import urllib.request

import pytest

pytestmark = [pytest.mark.requirement("FR-TEL-METRICS"), pytest.mark.enable_socket]
COMMAND = [sys.executable, "-m", "hwledger", "serve-metrics"]


def test_a_scrape_gets_the_newest_values_and_an_interrupt_ends_it() -> None:
    """The page is served on loopback, holds the host's memory, and Ctrl-C leaves with 130."""
    server = subprocess.Popen(
        [*COMMAND, "--port", "0", "--interval", "0.2", "--source", "host"], stderr=subprocess.PIPE, text=True
    )
    try:
        assert server.stderr is not None
        address = server.stderr.readline().split(";")[0]
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/metrics", address)
        text = ""
        for _ in range(50):
            with urllib.request.urlopen(address, timeout=10) as reply:  # noqa: S310 - loopback
                text = reply.read().decode()
            if "system_memory_limit_bytes " in text:
                break
            time.sleep(0.1)
        assert re.search(r"^system_memory_limit_bytes \d", text, re.MULTILINE)
        assert 'hwledger_source_up{source="host"} 1.0' in text
        server.send_signal(2)
        assert server.wait(30) == 130
    finally:
        server.kill()
        server.communicate()


def test_a_port_in_use_is_one_sentence() -> None:
    """What cannot be listened on is refused with what to do."""
    ran = subprocess.run(
        [*COMMAND, "--host", "256.0.0.1"], capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 2
    assert "cannot be listened on" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
