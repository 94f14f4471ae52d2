"""Who gets in: a token becomes a cookie; nobody sees anything without one."""

import json

import pytest
import trio

from prunner_trio.http.auth import Gate
from prunner_trio.testing import EPOCH


def test_a_page_sends_a_stranger_to_sign_in_and_then_back(play, token, one):
    async def scenario(browser):
        sent = await browser.get("/?x=1")
        assert (sent.status, sent.headers["location"]) == (303, "./sign-in?next=%3Fx%3D1")
        page = await browser.follow(sent)
        assert page.title == "Sign in"
        back = await browser.submit(page, page.html.one("form"), token=token(sub="jane"))
        assert (back.status, back.headers["location"]) == (303, "./?x=1")
        there = await browser.follow(back)
        assert there.title == "Overview"
        assert "jane" in there.html.one("header").text

    play(scenario, one(), signed_in=False)


def test_the_cookie_is_for_the_browser_alone_and_has_an_end(play, token):
    async def scenario(browser):
        await browser.post("/sign-in", {"token": token(sub="jane")})
        (cookie,) = browser.set_cookies
        name, _, rest = cookie.partition("=")
        assert name.startswith("prunner_trio_")
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(rest.split("; "))
        assert "Secure" not in rest
        assert "Expires=" in rest
        await browser.post("/sign-in", {"token": token(sub="jane")}, x_forwarded_proto="https")
        assert "Secure" in browser.set_cookies[-1].split("; ")

    play(scenario, signed_in=False)


def test_a_session_ends_with_its_token_or_after_a_week(play, token):
    async def scenario(browser):
        await browser.post("/sign-in", {"token": token(sub="jane", exp=int(EPOCH) + 100)})
        assert (await browser.get("/")).status == 200
        await trio.sleep(101)
        assert (await browser.get("/")).status == 303
        await browser.post("/sign-in", {"token": token(sub="jane")})
        await trio.sleep(7 * 86400 - 10)
        assert (await browser.get("/")).status == 200
        await trio.sleep(20)
        assert (await browser.get("/")).status == 303

    play(scenario, signed_in=False)


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"secret": "another-secret-of-more-than-32-bytes"}, "not signed with the secret"),
        ({"exp": 1}, "expired"),
        ({"nbf": 1 << 40}, "not valid yet"),
    ],
)
def test_a_token_that_cannot_be_used_is_told_and_gives_no_cookie(play, token, claims, said):
    async def scenario(browser):
        page = await browser.post("/sign-in", {"token": token(**claims), "next": "system"})
        assert page.status == 401
        assert said in page.html.one(role="alert").text
        assert page.html.one(name="next").attributes["value"] == "system"
        assert browser.set_cookies == []

    play(scenario, signed_in=False)


@pytest.mark.parametrize("way", ["//evil.example/", "https://evil.example", "/\\evil", "a\nb", "\\\\evil", "x" * 3000])
def test_the_way_after_signing_in_stays_here(play, token, way):
    async def scenario(browser):
        page = await browser.post("/sign-in", {"token": token(), "next": way})
        assert page.status == 303
        assert page.headers["location"].startswith("./")
        browser.resolve(page, page.headers["location"])

    play(scenario, signed_in=False)


def test_signing_out_ends_the_session(play):
    async def scenario(browser):
        page = await browser.get("/")
        (form,) = [form for form in page.html.all("form") if form.attributes.get("action", "").endswith("sign-out")]
        out = await browser.submit(page, form)
        assert (await browser.follow(out)).title == "Sign in"
        assert browser.cookies == {}
        assert (await browser.get("/")).status == 303

    play(scenario)


@pytest.mark.parametrize("headers", [{"sec_fetch_site": "cross-site"}, {"sec_fetch_site": "same-site"}])
def test_what_a_page_of_another_origin_sends_changes_nothing(play, headers, token):
    async def scenario(browser):
        assert (await browser.post("/sign-out", **headers)).status == 401  # the cookie is worth nothing there
        assert (await browser.get("/")).status == 200
        assert (await browser.post("/sign-in", {"token": token()}, **headers)).status == 403

    play(scenario)


def test_without_fetch_metadata_the_origin_counts(play):
    async def scenario(browser):
        foreign = await browser.post("/sign-out", sec_fetch_site="", origin="http://evil.example")
        assert foreign.status == 401
        assert (await browser.get("/")).status == 200
        proxied = {"sec_fetch_site": "", "origin": "https://ci.example", "x_forwarded_host": "ci.example"}
        assert (await browser.post("/sign-out", **proxied)).headers["location"] == "./sign-in"
        assert (await browser.get("/")).status == 303

    play(scenario)


def test_a_page_of_another_origin_cannot_use_the_cookie_for_the_apis(play, one):
    async def scenario(browser):
        body = b'{"pipeline": "p"}'
        for target in ("/pipelines/schedule", "/v1/jobs"):
            got = await browser("POST", target, body, content_type="application/json", sec_fetch_site="same-site")
            assert got.status in (401, 403)
            got = await browser("POST", target, body, content_type="application/json", sec_fetch_site="same-origin")
            assert got.status == 202

    play(scenario, one())


def test_two_daemons_of_one_host_do_not_share_a_cookie():
    names = {Gate(secret, now=lambda: 0.0).cookie for secret in ("a" * 16, "b" * 16)}
    assert len(names) == 2


def test_nothing_but_sign_in_and_static_files_is_for_strangers(play):
    async def scenario(browser):
        app = browser.app
        for rule in app.url_map.iter_rules():
            if rule.rule.startswith(("/sign-in", "/static/", "/debug/")):
                continue
            target = rule.rule.replace("<job_id>", "0" * 8 + "-0000" * 3 + "-" + "0" * 12)
            for converter in ("<name:name>", "<name:task>"):
                target = target.replace(converter, "x")
            assert "<" not in target, target
            for method in rule.methods - {"HEAD", "OPTIONS"}:
                got = await (browser.get(target) if method == "GET" else browser.post(target))
                assert got.status in (303, 401), (method, target, got.status)

    play(scenario, signed_in=False)


async def link_for(browser, token):
    got = await browser("POST", "/v1/sign-in-links", authorization=f"Bearer {token}")
    assert got.status == 201
    return "/" + json.loads(got.body)["path"]


def test_a_link_signs_in_once(play, token):
    async def scenario(browser):
        link = await link_for(browser, token(sub="joe"))
        page = await browser.get(link)
        assert (page.status, page.title) == (200, "Signed in")
        assert page.html.one("head").one("meta", http_equiv="refresh").attributes["content"] == "0; url=./"
        assert "joe" in (await browser.get("/")).html.one("header").text
        browser.cookies.clear()
        page = await browser.get(link)
        assert page.status == 401
        assert "has been used" in page.html.one(role="alert").text
        assert browser.cookies == {}

    play(scenario, signed_in=False)


def test_a_link_is_good_for_a_minute(play, token):
    async def scenario(browser):
        link = await link_for(browser, token(sub="joe"))
        await trio.sleep(59)
        other = await link_for(browser, token(sub="joe"))
        await trio.sleep(2)
        assert (await browser.get(link)).status == 401
        assert (await browser.get(other)).status == 200

    play(scenario, signed_in=False)


def test_a_look_ahead_does_not_use_a_link_up(play, token):
    async def scenario(browser):
        link = await link_for(browser, token(sub="joe"))
        assert (await browser("HEAD", link)).status == 401
        assert (await browser.get(link, sec_purpose="prefetch;prerender")).status == 401
        assert browser.cookies == {}
        assert (await browser.get(link)).status == 200

    play(scenario, signed_in=False)


def test_a_link_gives_no_more_than_its_token_has(play, token):
    async def scenario(browser):
        await browser.get(await link_for(browser, token(sub="joe", scope="read", exp=int(EPOCH) + 100)))
        assert (await browser.get("/")).status == 200
        assert (await browser.post("/pipeline/x")).status == 403
        await trio.sleep(101)
        assert (await browser.get("/")).status == 303

    play(scenario, signed_in=False)


def test_links_that_nobody_uses_are_forgotten(play, token):
    async def scenario(browser):
        links = [await link_for(browser, token(sub="joe")) for _ in range(101)]
        assert (await browser.get(links[0])).status == 401
        assert (await browser.get(links[1])).status == 200

    play(scenario, signed_in=False)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_cannot_sign_somebody_in_without_a_click(play, token, site):
    async def scenario(browser):
        link = await link_for(browser, token(sub="joe"))
        page = await browser.get(link, sec_fetch_site=site)
        assert browser.cookies == {}
        assert (await browser.post("/sign-in", {"once": link.partition("=")[2]}, sec_fetch_site=site)).status == 403
        assert (await browser.submit(page, page.html.one("form"))).title == "Signed in"
        assert "joe" in (await browser.get("/")).html.one("header").text

    play(scenario, signed_in=False)
