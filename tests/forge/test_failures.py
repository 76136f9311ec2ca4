"""What goes wrong on the way to a forge, over every driver."""

import asyncio
import time

import pytest
from aiohttp import web
from forge.benches import TOKEN

from reconciler.dev.sites import Site
from reconciler.dev.tls import Certificate
from reconciler.errors import InvalidSpec, NotPermitted, Unavailable
from reconciler.forge import wire
from reconciler.forge.errors import RateLimited, Rejected, Transient
from reconciler.model.review import Check

ONE = "1" * 40
CHECK = Check("reconciler/prod/plan", "success", "1 to create", "")


async def asked(bench) -> int:
    return len(bench.server.asked)


@pytest.mark.parametrize(
    ("status", "body", "error", "says"),
    [
        pytest.param(401, b"", NotPermitted, "forge.tokenFile", id="401"),
        pytest.param(403, b'{"message": "no"}', NotPermitted, r"no; the login needs \w+", id="403"),
        pytest.param(404, b"", InvalidSpec, "forge.repository", id="404"),
        pytest.param(422, b'{"message": "sha is wrong"}', Rejected, "sha is wrong", id="422"),
        pytest.param(500, b"<html>", Transient, "answered 500", id="500"),
        pytest.param(418, b"", Rejected, "answered 418", id="another 4xx"),
        pytest.param(200, b"<html>", Unavailable, "not JSON", id="a page"),
        pytest.param(200, b'{"a": 1}', Unavailable, "not answered as it should be", id="another answer"),
    ],
)
async def test_an_answer_has_a_meaning(bench, status, body, error, says):
    await bench.forge.open_requests()
    bench.server.fail(status, body=body, times=9)
    with pytest.raises(error, match=says) as raised:
        await bench.forge.open_requests()
    assert type(raised.value) is error


async def test_a_server_that_stumbles_is_asked_again(bench):
    bench.open(7, ONE)
    await bench.forge.open_requests()
    bench.server.fail(503, times=2)
    assert len(await bench.forge.open_requests()) == 1


async def test_a_server_that_is_down_is_asked_three_times(bench):
    await bench.forge.open_requests()
    before = await asked(bench)
    bench.server.fail(503, times=99)
    with pytest.raises(Unavailable):
        await bench.forge.open_requests()
    assert await asked(bench) == before + 3


async def test_a_server_that_never_comes_to_an_end_is_given_up(bench, monkeypatch):
    await bench.forge.open_requests()
    monkeypatch.setattr(wire, "TOTAL_SECONDS", 0.1)
    bench.server.fail(200, delay=1.0, times=9)
    with pytest.raises(Unavailable, match="cannot be reached"):
        await bench.forge.open_requests()


async def test_a_server_that_names_a_time_is_not_asked_again_at_once(bench):
    await bench.forge.open_requests()
    before = await asked(bench)
    bench.server.fail(503, times=99, headers={"Retry-After": "30"})
    with pytest.raises(Unavailable) as raised:
        await bench.forge.open_requests()
    assert raised.value.retry_after == 30
    assert await asked(bench) == before + 1


LIMITS = {
    "429 with seconds": (429, {"Retry-After": "120"}, b"", 120),
    "429 with a date": (429, {"Retry-After": "Fri, 01 Jan 2106 00:00:00 GMT"}, b"", 3600),
    "429 without a time": (429, {}, b"", 60),
    "403 with seconds": (403, {"Retry-After": "90"}, b"", 90),
    "403 with nothing left": (
        403,
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 10**6)},
        b"",
        3600,
    ),
    "403 of a secondary limit": (403, {}, b'{"message": "You have exceeded a secondary rate limit"}', 60),
    "a time that is over": (429, {"RateLimit-Reset": "1"}, b"", 1),
}


@pytest.mark.parametrize(("status", "headers", "body", "seconds"), LIMITS.values(), ids=LIMITS)
async def test_a_limit_is_kept_whoever_asks(bench, status, headers, body, seconds):
    bench.open(7, ONE)
    request = await bench.request()
    bench.server.fail(status, headers=headers, body=body)
    with pytest.raises(RateLimited) as raised:
        await bench.forge.open_requests()
    assert raised.value.retry_after == pytest.approx(seconds)
    before = await asked(bench)
    for refused in (bench.forge.open_requests(), bench.forge.approvals(request)):
        with pytest.raises(RateLimited) as raised:
            await refused
        assert 0 < raised.value.retry_after <= seconds
    assert await asked(bench) == before


async def test_a_limit_ends(bench):
    await bench.forge.open_requests()
    bench.server.fail(429, headers={"Retry-After": "1"})
    with pytest.raises(RateLimited) as raised:
        await bench.forge.open_requests()
    await asyncio.sleep(raised.value.retry_after + 0.05)
    assert list(await bench.forge.open_requests()) == []


@pytest.fixture
async def elsewhere():
    """A server on another host, and what it heard."""
    heard = []

    async def hear(request: web.Request) -> web.Response:
        heard.append(dict(request.headers))
        return web.json_response([])

    app = web.Application()
    app.add_routes([web.route("*", "/{path:.*}", hear)])
    site = Site(app)
    await site.start()
    yield site.url.replace("127.0.0.1", "localhost"), heard
    await site.stop()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_the_token_follows_no_redirect(bench, elsewhere, status):
    url, heard = elsewhere
    await bench.forge.open_requests()
    bench.server.fail(status, headers={"Location": f"{url}/there?token=abc"})
    with pytest.raises(InvalidSpec, match=r"redirected to .*/there; set forge\.url"):
        await bench.forge.open_requests()
    assert heard == []


async def test_a_link_to_another_host_is_not_followed(bench, elsewhere):
    url, heard = elsewhere
    await bench.forge.open_requests()
    empty = b'{"value": []}' if bench.driver == "azuredevops" else b"[]"
    bench.server.fail(200, body=empty, headers={"Link": f'<{url}/x?page=2>; rel="next"'})
    assert list(await bench.forge.open_requests()) == []
    assert heard == []


async def test_an_answer_without_end_is_not_read_to_its_end(bench):
    await bench.forge.open_requests()
    bench.server.fail(200, body=b" " * (wire.MAX_BYTES + 1))
    with pytest.raises(Unavailable, match="larger than 32 MiB"):
        await bench.forge.open_requests()


async def test_a_forge_that_is_not_there_is_unavailable(bench):
    await bench.server.stop()
    with pytest.raises(Unavailable, match="cannot be reached"):
        await bench.again().open_requests()


async def test_an_unknown_repository_is_named(bench):
    parts = bench.repository.split("/")
    other = bench.again(repository="/".join([*parts[:-1], "nope"]))
    with pytest.raises(InvalidSpec, match=r"forge\.repository: .*nope"):
        await other.open_requests()


@pytest.mark.parametrize("bench", ["github", "gitlab", "azuredevops"], indirect=True)
async def test_a_token_counts_as_soon_as_its_file_says_so(bench):
    bench.token_file.write_text("an-old-token-of-yesterday")
    with pytest.raises(NotPermitted) as raised:
        await bench.forge.open_requests()
    assert "yesterday" not in str(raised.value)
    bench.token_file.write_text(TOKEN)
    await bench.forge.open_requests()


@pytest.mark.parametrize("bench", ["github", "gitlab", "azuredevops"], indirect=True)
async def test_a_token_that_the_server_repeats_is_not_told(bench):
    await bench.forge.open_requests()
    bench.server.fail(422, body=b'{"message": "what is %s?"}' % TOKEN.encode())
    with pytest.raises(InvalidSpec, match=r"what is \*\*\*\?"):
        await bench.forge.open_requests()


@pytest.mark.parametrize("gone", [True, False], ids=["missing", "empty"])
async def test_a_secret_file_that_cannot_be_used_is_named(bench, gone):
    path = bench.key_file if bench.settings().app else bench.token_file
    path.unlink() if gone else path.write_text("\n")
    with pytest.raises(NotPermitted, match=f"{path.name} (cannot be read|is empty|holds no RSA private key)"):
        await bench.forge.open_requests()


@pytest.fixture
async def private(tmp_path):
    """The address of a server with a certificate of its own, and that certificate."""
    certificate = Certificate(tmp_path)

    async def empty(_: web.Request) -> web.Response:
        return web.json_response([])

    app = web.Application()
    app.add_routes([web.get("/{path:.*}", empty)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certificate.context()).start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}", certificate.path
    await runner.cleanup()


async def test_a_private_authority_has_to_be_named(github, private):
    url, ca_file = private
    with pytest.raises(NotPermitted, match=r"set forge\.caFile"):
        await github.again(url=url).open_requests()
    assert list(await github.again(url=url, ca_file=ca_file).open_requests()) == []


async def test_an_authority_that_cannot_be_used_is_named(github, tmp_path):
    broken = tmp_path / "ca.pem"
    broken.write_text("no certificate")
    with pytest.raises(NotPermitted, match=r"forge\.caFile: .*ca\.pem cannot be used"):
        await github.again(ca_file=broken).open_requests()
