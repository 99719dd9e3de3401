"""The ways in, the frame, errors: over real HTTP."""

import re
from collections.abc import AsyncIterator
from html import escape
from urllib.parse import urlencode

import pytest

from appliance.accounts.model import Role
from appliance.infra.database import Database
from appliance.web.tabs import SERVER
from tests.harness.pages import PASSWORD, Hub, hub

PAGES_OF_ANYBODY = [
    "/servers",
    "/servers/new",
    "/settings/keys",
    "/settings/apps",
    "/settings/sessions",
    "/settings/totp",
    "/health",
]
PAGES_OF_ADMINS = [
    "/activity/jobs",
    "/activity/audit",
    "/settings/people",
    "/registry",
    "/settings/front-door",
    "/patterns",
]


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Hub]:
    async with hub(database) as running:
        yield running


async def test_a_fresh_box_asks_for_its_administrator(site: Hub) -> None:
    assert "Create the administrator" in await site.page("/")
    assert (await site.get("/login")).headers["Location"] == "/register"


async def test_who_registers_goes_where_they_wanted_to_go(site: Hub) -> None:
    wanted = "/oauth/authorize?client_id=a&state=b%26c"
    sent = await site.get(f"/login?{urlencode({'next': wanted})}")
    form = await site.page(sent.headers["Location"])
    kept = {"email": "ada@example.org", "password": PASSWORD, "next": wanted}

    answer = await site.post("/register", **kept)

    assert f'value="{escape(wanted)}"' in form
    assert answer.headers["Location"] == wanted


async def test_registering_signs_the_administrator_in(site: Hub) -> None:
    response = await site.post("/register", email="ada@example.org", password=PASSWORD)

    assert (response.status, response.headers["Location"]) == (303, "/servers")
    assert "Host your first server" in await site.page("/servers")


async def test_registration_is_closed_once_somebody_is_there(site: Hub) -> None:
    await site.sign_in()
    site.client.session.cookie_jar.clear()

    response = await site.post("/register", email="eve@example.org", password=PASSWORD)

    assert response.status == 403
    assert "An administrator can add you" in await site.page("/register")


async def test_a_wrong_password_is_told_and_the_address_stays_typed(site: Hub) -> None:
    await site.sign_in()
    site.client.session.cookie_jar.clear()

    response = await site.post("/login", email="ada@example.org", password="wrong")
    text = await response.text()

    assert response.status == 401
    assert "do not belong together" in text
    assert 'value="ada@example.org"' in text
    assert "wrong" not in text


async def test_signing_in_goes_on_to_where_one_wanted_to_go(site: Hub) -> None:
    await site.sign_in()
    site.client.session.cookie_jar.clear()

    refused = await site.get("/settings/keys")
    response = await site.post(
        "/login", email="ada@example.org", password=PASSWORD, next="/settings/keys"
    )

    assert refused.headers["Location"] == "/login?next=/settings/keys"
    assert response.headers["Location"] == "/settings/keys"


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "",
    ],
)
async def test_signing_in_never_leads_to_another_site(site: Hub, wanted: str) -> None:
    await site.sign_in()
    site.client.session.cookie_jar.clear()

    response = await site.post(
        "/login", email="ada@example.org", password=PASSWORD, next=wanted
    )

    assert response.headers["Location"] == "/servers"


async def test_signing_out_ends_the_session(site: Hub) -> None:
    await site.sign_in()

    await site.post("/logout")

    assert (await site.get("/servers")).status == 303


async def test_a_form_without_the_sessions_token_does_nothing(site: Hub) -> None:
    await site.sign_in()
    site.csrf = "wrong"

    response = await site.post("/settings/keys", name="my-notebook")

    assert response.status == 403
    assert "my-notebook" not in await site.page("/settings/keys")


@pytest.mark.parametrize("path", PAGES_OF_ANYBODY + PAGES_OF_ADMINS)
async def test_every_page_opens_for_an_administrator(site: Hub, path: str) -> None:
    await site.sign_in()

    assert "<h1>" in await site.page(path)


@pytest.mark.parametrize("path", PAGES_OF_ADMINS)
async def test_pages_of_administrators_are_shut_for_others(
    site: Hub, path: str
) -> None:
    await site.sign_in()
    await site.sign_in("ben@example.org", Role.MEMBER)

    response = await site.get(path)

    assert response.status == 403
    assert f'href="{path}"' not in await site.page("/servers")


@pytest.mark.parametrize("path", PAGES_OF_ANYBODY + PAGES_OF_ADMINS)
async def test_every_page_asks_strangers_to_sign_in(site: Hub, path: str) -> None:
    response = await site.get(path)

    assert response.headers["Location"].startswith("/login")


async def test_every_link_and_form_leads_somewhere(site: Hub) -> None:
    principal = await site.sign_in()
    await site.host(principal, "time")
    await site.run("time")
    pages = [
        *PAGES_OF_ANYBODY,
        *PAGES_OF_ADMINS,
        *(f"/servers/time{tab.tail}" for group in SERVER for tab in group.tabs),
    ]
    links = set()
    for path in pages:
        links |= set(
            re.findall(
                r'(?:href|src|hx-get|hx-sse:connect)="(/[^"#]*)', await site.page(path)
            )
        )

    dead = [link for link in sorted(links) if not await _leads_somewhere(site, link)]

    assert len(links) > 20
    assert dead == []


async def _leads_somewhere(site: Hub, link: str) -> bool:
    async with site.client.get(
        link.replace("&amp;", "&"), allow_redirects=False
    ) as response:
        return response.status < 400


async def test_an_unknown_address_is_a_page_with_its_request_id(site: Hub) -> None:
    await site.sign_in()

    response = await site.get("/nowhere")
    text = await response.text()

    assert response.status == 404
    assert "There is no such page" in text
    assert response.headers["X-Request-Id"] in text


async def test_a_refusal_for_htmx_is_a_toast_that_leaves_the_page_alone(
    site: Hub,
) -> None:
    await site.sign_in()

    response = await site.get("/servers/none", **{"HX-Request": "true"})

    assert (response.status, response.headers["HX-Reswap"]) == (404, "none")
    assert 'hx-target="#toasts"' in await response.text()


async def test_a_session_that_ended_sends_htmx_to_the_way_in(site: Hub) -> None:
    response = await site.get("/servers", **{"HX-Request": "true"})

    assert response.headers["HX-Redirect"].startswith("/login")


async def test_a_page_is_under_150_kilobytes_compressed_with_everything_it_loads(
    site: Hub,
) -> None:
    await site.sign_in()
    text = await site.page("/patterns")
    loaded = set(re.findall(r'(?:href|src)="(/static/[^"#]+)', text))
    css = [link for link in loaded if link.endswith("tokens.css")]
    fonts = {
        css[0].rsplit("/css/", 1)[0] + f"/vendor/{name}.woff2"
        for name in ("geist-latin", "geist-mono-latin")
    }
    total = len(text.encode())

    async with site.client.session.__class__(auto_decompress=False) as session:
        for link in loaded | fonts:
            async with session.get(
                site.client.make_url(link), headers={"Accept-Encoding": "gzip"}
            ) as response:
                assert response.status == 200, link
                total += len(await response.read())

    assert total < 150_000


async def test_static_files_are_kept_for_ever_under_their_hash_and_asked_for_again_under_another(
    site: Hub,
) -> None:
    text = await site.page("/")
    link = re.findall(r'src="(/static/[^"]+theme.js)"', text)[0]

    current = await site.get(link)
    old = await site.get(re.sub(r"/static/[0-9a-f]+/", "/static/000000000000/", link))

    assert "immutable" in current.headers["Cache-Control"]
    assert old.headers["Cache-Control"] == "no-cache"


async def test_no_page_carries_inline_script_or_style(site: Hub) -> None:
    principal = await site.sign_in()
    await site.host(principal, "time")
    await site.run("time")

    for path in [
        *PAGES_OF_ANYBODY,
        *PAGES_OF_ADMINS,
        "/servers/time",
        "/servers/time/tools",
    ]:
        text = await site.page(path)
        assert not re.search(
            r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|hx-on", text
        ), path


async def test_the_palette_finds_servers_pages_and_actions(site: Hub) -> None:
    principal = await site.sign_in()
    await site.host(principal, "time")

    assert 'data-href="/servers/time"' in await site.page("/palette?q=ti")
    assert 'data-href="/settings/keys"' in await site.page("/palette?q=keys")
    assert 'data-href="/servers/new"' in await site.page("/palette")


async def test_a_key_is_shown_once(site: Hub) -> None:
    await site.sign_in()

    response = await site.post("/settings/keys", name="my-notebook", days="30")
    key = re.findall(r">(mcph_[A-Za-z0-9_-]+)<", await response.text())[0]

    listed = await site.page("/settings/keys")
    assert "my-notebook" in listed
    assert key not in listed


async def test_a_key_s_limits_are_set_on_the_page(site: Hub) -> None:
    await site.sign_in()
    await site.post("/settings/keys", name="bot", calls_per_second="2.5")
    shown = await site.page("/settings/keys")
    (path,) = re.findall(r'action="(/settings/keys/\d+/limits)"', shown)

    changed = await site.post(path, calls_per_second="", concurrency="3")
    refused = await site.post(path, concurrency="none")

    assert "2.5/s" in shown
    assert changed.status in {200, 303}
    assert refused.status == 422
    assert "3 at once" in await site.page("/settings/keys")


async def test_a_weak_new_password_is_told_beside_its_control(site: Hub) -> None:
    await site.sign_in()

    response = await site.post("/settings/password", current=PASSWORD, new="short")

    assert response.status == 422
    assert 'id="field-new-problem"' in await response.text()


async def test_a_person_can_be_added(site: Hub) -> None:
    await site.sign_in()

    response = await site.post(
        "/settings/people", email="ben@example.org", password=PASSWORD, role="reader"
    )

    assert response.status == 303
    assert "ben@example.org" in await site.page("/settings/people")


async def test_jobs_can_be_filtered_cancelled_and_queued_anew(site: Hub) -> None:
    await site.sign_in()
    job_id = await site.services.jobs.enqueue("test.kind", {})

    cancelled = await site.post(f"/activity/jobs/{job_id}/cancel")
    listed = await site.page("/activity/jobs?state=cancelled")
    again = await site.post(f"/activity/jobs/{job_id}/retry")

    assert (cancelled.status, again.status) == (303, 303)
    assert f'id="job-{job_id}"' in listed
    assert f'id="job-{job_id}"' in await site.page("/activity/jobs?state=queued")
    assert f'id="job-{job_id}"' not in await site.page("/activity/jobs?state=failed")


async def test_a_job_that_cannot_be_cancelled_says_why(site: Hub) -> None:
    await site.sign_in()

    response = await site.post("/activity/jobs/1/cancel")

    assert response.status == 404
    assert "There is no job 1" in await response.text()


async def test_the_audit_trail_tells_who_did_what(site: Hub) -> None:
    await site.sign_in()
    await site.post("/settings/keys", name="my-notebook")

    text = await site.page("/activity/audit")

    assert "key.create" in text
    assert "ada@example.org" in text


async def test_a_fault_of_ours_is_a_page_with_its_request_id_and_nothing_else(
    site: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.sign_in()
    monkeypatch.setattr("appliance.web.pages.keys.LIFETIMES", None)

    response = await site.get("/settings/keys")
    text = await response.text()

    assert response.status == 500
    assert "Something went wrong" in text
    assert response.headers["X-Request-Id"] in text
    assert "Traceback" not in text
