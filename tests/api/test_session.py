"""One request: the rate limit, redirects, proxies, connections."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests
from urllib3.util import connection

from tap_betterdata.api import session as session_module
from tap_betterdata.api.errors import LimitedError
from tap_betterdata.api.rate_limit import RateLimiter
from tap_betterdata.api.session import ApiSession, is_loopback
from tap_betterdata.sandbox import Sandbox
from tests.api.serving import GOOD, Server, open_session, send, with_length
from tests.running import Runner, catalog_of, config_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIST = "/inventory"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(items=30) as sandbox:
        yield sandbox


def get(session: ApiSession, sandbox: Sandbox, path: str = LIST) -> requests.Response:
    headers = {"Authorization": f"Bearer {sandbox.api_key}"}
    request = requests.Request("GET", sandbox.url + path, headers=headers)
    return session.send(session.prepare_request(request))


def test_an_answer_comes_whole(sandbox: Sandbox) -> None:
    with open_session() as session:
        response = get(session, sandbox)
        assert response.status_code == 200
        assert len(response.json()["items"]) == 20
        assert len(sandbox.requests) == 1


@pytest.mark.parametrize("status", [204, 302, 400, 401, 404, 500, 503])
def test_any_status_is_an_answer(sandbox: Sandbox, status: int) -> None:
    sandbox.faults.add(status)
    with open_session() as session:
        assert get(session, sandbox).status_code == status


def test_a_drip_is_held_to_the_deadline(sandbox: Sandbox) -> None:
    sandbox.faults.add("drip", seconds=0.05)
    with (
        open_session(deadline=0.3) as session,
        pytest.raises(requests.exceptions.ReadTimeout, match="request_timeout"),
    ):
        get(session, sandbox)


@pytest.mark.parametrize("host", ["127.0.0.1", "LocalHost"])
@pytest.mark.parametrize("name", ["http_proxy", "all_proxy"])
def test_no_proxy_hears_what_is_for_this_machine(
    host: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server([GOOD]) as proxy, Server([GOOD]) as server, open_session() as session:
        monkeypatch.setenv(name, proxy.url)
        url = server.url.replace("127.0.0.1", host)
        assert send(session, url).status_code == 200
        assert not proxy.heard


@pytest.mark.parametrize(
    ("host", "is_here"),
    [
        ("127.1.2.3", True),
        ("::1", True),
        ("127.0.0.1.api.invalid", False),
        ("10.0.0.1", False),
        ("localhost.api.invalid", False),
        (None, False),
    ],
)
def test_this_machine_is_told_by_its_address(
    host: str | None, *, is_here: bool
) -> None:
    assert is_loopback(host) == is_here


def test_a_proxy_is_used_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server([GOOD]) as proxy, open_session() as session:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert send(session, "http://api.invalid/x").status_code == 200
        assert proxy.heard[0].startswith(b"GET http://api.invalid/x ")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_no_broken_answer(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise error

    monkeypatch.setattr(session_module, "read_body", interrupt)
    with Server([GOOD]) as server, open_session() as session, pytest.raises(error):
        send(session, server.url)


def test_an_answer_may_take_as_long_as_the_deadline(sandbox: Sandbox) -> None:
    sandbox.faults.add("slow", seconds=1.0)
    with open_session(deadline=30) as session:
        assert get(session, sandbox).status_code == 200


@pytest.mark.parametrize("location", ["https://[bad", "/elsewhere", "h\xffttp://x"])
def test_an_odd_redirect_is_an_answer(sandbox: Sandbox, location: str) -> None:
    sandbox.faults.add("raw", status=302, body="{}", headers={"Location": location})
    with open_session() as session:
        assert get(session, sandbox).status_code == 302


def test_a_request_that_fails_holds_no_other() -> None:
    last = with_length(b"{}", b"X-RateLimit-Remaining: 1", b"X-RateLimit-Reset: 60")
    with Server([last], [], [GOOD]) as server, open_session(max_wait=1) as session:
        send(session, server.url)
        with pytest.raises(requests.RequestException):
            send(session, server.url)
        # Another thread's; it would wait for the one that failed.
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(send, session, server.url).result().status_code == 200


def test_silence_is_held_to_the_deadline(sandbox: Sandbox) -> None:
    sandbox.faults.add("slow", seconds=30)
    with (
        open_session(deadline=0.3) as session,
        pytest.raises(requests.exceptions.Timeout),
    ):
        get(session, sandbox)


@pytest.mark.parametrize("kind", ["reset", "close", "cut"])
def test_a_broken_connection_is_an_error(sandbox: Sandbox, kind: str) -> None:
    sandbox.faults.add(kind)
    with open_session() as session:
        with pytest.raises(requests.RequestException):
            get(session, sandbox)
        assert get(session, sandbox).status_code == 200


def test_a_redirect_is_not_followed(sandbox: Sandbox) -> None:
    with Sandbox() as other, open_session() as session:
        sandbox.faults.add("redirect", to=other.url + LIST)
        response = get(session, sandbox)
        assert response.status_code == 302
        assert response.headers["Location"] == other.url + LIST
        assert not other.requests
        assert len(sandbox.requests) == 1


def test_connections_are_kept(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    connect = connection.create_connection

    def count(*args: Any, **kwargs: Any) -> Any:
        opened.append(args)
        return connect(*args, **kwargs)

    monkeypatch.setattr(connection, "create_connection", count)
    sandbox.faults.add(500, nth=3)
    with open_session() as session:
        for _ in range(6):
            get(session, sandbox)
    assert len(sandbox.requests) == 6
    assert len(opened) == 1


def test_being_limited_holds_the_next_request(sandbox: Sandbox) -> None:
    sandbox.faults.add(429, retry_after="0.2")
    with open_session() as session:
        assert get(session, sandbox).status_code == 429
        assert get(session, sandbox).status_code == 200
    refused, answered = sandbox.requests
    assert answered.time - refused.time >= 0.2


def test_being_limited_for_too_long_is_an_end(sandbox: Sandbox) -> None:
    sandbox.faults.add(429, times=None, retry_after="30")
    with open_session(max_wait=1) as session:
        assert get(session, sandbox).status_code == 429
        with pytest.raises(LimitedError):
            get(session, sandbox)
    assert len(sandbox.requests) == 1


def test_every_request_draws_on_the_budget(sandbox: Sandbox) -> None:
    limiter = RateLimiter(per_minute=0, per_hour=0, max_wait=1, stop=threading.Event())
    sandbox.faults.add(429, retry_after="0.01")
    sandbox.faults.add(503, nth=2)
    with ApiSession(limiter, deadline=10, connections=1) as session:
        for _ in range(3):
            get(session, sandbox)
    assert limiter.used == len(sandbox.requests) == 3


def test_a_netrc_file_is_not_heeded(
    tap: Runner, sandbox: Sandbox, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b", encoding="utf-8")
    catalog = catalog_of("inventory")
    tap(config_for(sandbox), catalog=catalog, NETRC=str(netrc)).check()
    assert sandbox.requests
