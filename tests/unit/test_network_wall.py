"""The wall of conftest itself: beyond loopback nothing gets out, and a swallowed refusal still fails the test."""

import socket

import pytest

pytest_plugins = ["pytester"]


def test_connect_when_host_is_loopback_then_allowed():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()


@pytest.mark.parametrize(
    "reach",
    [
        "socket.create_connection(('192.0.2.1', 80), timeout=1)",
        "socket.socket().connect_ex(('192.0.2.1', 80))",
        "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
        "socket.getaddrinfo('example.invalid', 80)",
    ],
)
def test_reach_when_host_is_foreign_and_refusal_is_swallowed_then_test_fails(pytester, request, reach):
    pytester.makeconftest((request.config.rootpath / "tests" / "conftest.py").read_text())
    pytester.makepyfile(
        f"import contextlib, socket\ndef test_leak():\n    with contextlib.suppress(Exception):\n        {reach}\n"
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*the network was reached for:*"])
