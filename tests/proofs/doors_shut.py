"""Attacks on who somebody is and what they may do: each finds its door shut, and its test sees the door opened.

The attacks are tests of the suite, over real HTTP and Postgres. Then faults are planted, one at a time, in a copy of the code,
and a test of each must fail: a test that cannot tells nothing of a door.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.proofs.claim import ClaimBrokenError, hold

ROOT = Path(__file__).resolve().parents[2]
DOORS = "tests/functional/test_doors.py"
API = "tests/functional/test_api_doors.py"
OAUTH = "tests/functional/test_oauth.py"
GATEWAY = "tests/functional/gateway/test_gateway_doors.py"
SIGNIN = "tests/functional/test_signin.py"
ID_TOKENS = f"{SIGNIN}::test_a_hostile_id_token_signs_nobody_in"

#: Attack to the tests that try it.
ATTACKS: Final = {
    "password spraying": (
        f"{DOORS}::test_one_password_for_many_people_is_slowed_down",
        f"{API}::test_guessing_is_slowed_down",
    ),
    "timing of unknown people": (
        f"{DOORS}::test_who_is_unknown_takes_as_long_as_a_wrong_password",
    ),
    "session fixation": (
        f"{DOORS}::test_a_session_that_somebody_else_chose_is_never_taken_over",
    ),
    "cookies": (
        f"{DOORS}::test_behind_tls_the_cookie_is_this_hosts_alone",
        f"{API}::test_the_cookie_is_for_the_server_alone",
    ),
    "CSRF": (
        f"{DOORS}::test_a_password_of_a_proxy_does_not_lift_the_check_of_origin",
        f"{API}::test_a_cookie_alone_writes_nothing",
        f"{API}::test_another_site_writes_nothing_even_with_the_token",
        f"{API}::test_another_site_cannot_sign_somebody_in",
    ),
    "replay after revocation": (
        f"{API}::test_a_revoked_key_stops_working_at_once",
        f"{API}::test_a_session_ends_with_logout",
        f"{API}::test_all_other_sessions_end_at_once",
    ),
    "clickjacking": (f"{DOORS}::test_no_answer_may_be_shown_in_a_frame",),
    "made-up addresses, hosts and schemes": (
        f"{DOORS}::test_nobody_but_a_proxy_of_ours_says_who_asks",
        f"{DOORS}::test_a_proxy_of_ours_says_who_asks",
        f"{GATEWAY}::test_a_proxy_of_ours_alone_says_how_it_was_asked",
        f"{GATEWAY}::test_browsers_call_only_from_our_own_pages",
    ),
    "bodies without end": (
        f"{DOORS}::test_no_address_takes_a_body_without_end",
        f"{GATEWAY}::test_a_body_over_the_limit_is_refused_however_it_comes",
        "tests/functional/test_api_webhooks.py::test_a_body_that_is_too_large_is_not_read",
        "tests/functional/test_api_sources.py::test_what_is_no_archive_or_too_large_is_not_kept",
        "tests/functional/test_api_files.py::test_more_than_there_is_room_for_is_refused_before_it_comes",
    ),
    "pages of other origins": (
        f"{DOORS}::test_pages_of_named_origins_alone_call_the_api_and_never_with_cookies",
        f"{DOORS}::test_without_a_setting_no_page_of_others_reads_the_api",
    ),
    "floods": (
        f"{DOORS}::test_accounts_and_addresses_that_ask_too_often_are_told_when_to_ask",
        "tests/functional/test_audit.py::test_a_flood_of_wrong_keys_fills_no_disk",
    ),
    "OAuth: reuse of codes and refresh tokens": (
        f"{OAUTH}::test_a_code_that_comes_twice_ends_what_came_of_it",
        f"{OAUTH}::test_a_refresh_token_that_comes_twice_ends_the_whole_grant",
    ),
    "OAuth: redirect tricks and mix-up": (
        f"{OAUTH}::test_a_code_is_worth_nothing_to_another_client",
        f"{OAUTH}::test_a_code_is_bound_to_verifier_redirect_and_resource",
        f"{OAUTH}::test_a_weaker_request_is_refused_and_the_client_told",
        f"{OAUTH}::test_nobody_is_sent_where_the_client_did_not_say",
        f"{OAUTH}::test_a_client_that_is_not_known_is_told_nothing",
        f"{OAUTH}::test_tokens_are_for_our_endpoints_and_for_those_who_may_call_them",
        f"{OAUTH}::test_a_parameter_that_comes_twice_is_refused",
    ),
    "OAuth: consent": (
        f"{OAUTH}::test_consent_needs_the_token_of_the_session",
        f"{OAUTH}::test_an_api_key_cannot_consent",
    ),
    "OAuth: documents that lead to this box": (
        f"{OAUTH}::test_no_document_is_fetched_from_this_box_or_beside_it",
        f"{OAUTH}::test_a_document_is_not_followed_elsewhere_and_has_bounds",
        f"{OAUTH}::test_nobody_who_is_not_signed_in_makes_the_hub_fetch",
    ),
    "provider: ID tokens of others, forged, old or unsigned": (ID_TOKENS,),
    "provider: replay, other browsers and mix-up": (
        f"{SIGNIN}::test_an_answer_counts_once",
        f"{SIGNIN}::test_an_answer_for_another_browser_signs_nobody_in",
        f"{SIGNIN}::test_an_answer_of_another_provider_is_not_used",
        f"{SIGNIN}::test_the_session_is_a_new_one_whatever_the_browser_brought",
        f"{SIGNIN}::test_the_cookie_of_the_way_is_for_the_server_alone",
    ),
    "provider: redirects elsewhere, and to this box": (
        f"{SIGNIN}::test_nobody_is_led_elsewhere",
        f"{SIGNIN}::test_the_hub_asks_no_neighbour_that_only_the_provider_names",
    ),
    "provider: becoming somebody else": (
        f"{SIGNIN}::test_an_address_alone_makes_nobody_somebody",
        f"{SIGNIN}::test_a_link_that_another_session_began_is_refused",
        f"{SIGNIN}::test_with_passwords_off_one_administrator_alone_keeps_the_door",
    ),
}


@dataclass(frozen=True)
class Fault:
    """A door left open."""

    what: str
    path: str
    text: str
    instead: str
    #: A test that must see it.
    test: str


FAULTS: Final = (
    Fault(
        "tries of an address are not counted",
        "appliance/accounts/service.py",
        "attempt = await self._begin(email, address)",
        'attempt = await self._begin(email, "")',
        f"{DOORS}::test_one_password_for_many_people_is_slowed_down",
    ),
    Fault(
        "any Authorization lifts the check of origin",
        "appliance/web/middleware.py",
        "bearer_of(request) is not None",
        "hdrs.AUTHORIZATION in request.headers",
        f"{DOORS}::test_a_password_of_a_proxy_does_not_lift_the_check_of_origin",
    ),
    Fault(
        "everybody is a proxy of ours",
        "appliance/core/proxies.py",
        "if not self.trusts(direct.address):",
        "if not direct.address:",
        f"{DOORS}::test_nobody_but_a_proxy_of_ours_says_who_asks",
    ),
    Fault(
        "the first address of the list is believed",
        "appliance/core/proxies.py",
        "            if not self.trusts(address):\n                break\n",
        "",
        f"{DOORS}::test_a_proxy_of_ours_says_who_asks",
    ),
    Fault(
        "the gateway believes everybody",
        "appliance/gateway/edge/worker.py",
        "        if not self._proxies:\n            return False\n",
        "        if self._proxies is not None:\n            return True\n",
        f"{GATEWAY}::test_a_proxy_of_ours_alone_says_how_it_was_asked",
    ),
    Fault(
        "the cookie has no prefix",
        "appliance/web/requests.py",
        'f"__Host-{SESSION_COOKIE}" if is_https(request) else SESSION_COOKIE',
        "SESSION_COOKIE",
        f"{DOORS}::test_behind_tls_the_cookie_is_this_hosts_alone",
    ),
    Fault(
        "answers may be framed",
        "appliance/web/middleware.py",
        "frame-ancestors 'none'",
        "frame-ancestors *",
        f"{DOORS}::test_no_answer_may_be_shown_in_a_frame",
    ),
    Fault(
        "bodies have no limit",
        "appliance/web/app.py",
        "client_max_size=MAX_BODY_BYTES",
        "client_max_size=1024**3",
        f"{DOORS}::test_no_address_takes_a_body_without_end",
    ),
    Fault(
        "pages of every origin read the API",
        "appliance/web/doors.py",
        'isdisjoint({origin, "*"})',
        "isdisjoint(request.app[_ORIGINS])",
        f"{DOORS}::test_pages_of_named_origins_alone_call_the_api_and_never_with_cookies",
    ),
    Fault(
        "nobody is too often there",
        "appliance/web/doors.py",
        "    if seconds:\n",
        "    if seconds < 0:\n",
        f"{DOORS}::test_accounts_and_addresses_that_ask_too_often_are_told_when_to_ask",
    ),
    Fault(
        "every refused attempt becomes a line",
        "appliance/observability/denials.py",
        "if count <= PER_ADDRESS and self._written < TOGETHER:",
        "if count:",
        "tests/functional/test_audit.py::test_a_flood_of_wrong_keys_fills_no_disk",
    ),
    Fault(
        "who is unknown is refused at once",
        "appliance/accounts/service.py",
        "matches = await self._passwords.verify(password, hashed)",
        "matches = hashed is not None and await self._passwords.verify(password, hashed)",
        f"{DOORS}::test_who_is_unknown_takes_as_long_as_a_wrong_password",
    ),
    Fault(
        "a nonce of another sign-in is taken",
        "appliance/signin/id_tokens.py",
        "if not isinstance(nonce, str) or not hmac.compare_digest(",
        "if not isinstance(nonce, str) and not hmac.compare_digest(",
        f"{ID_TOKENS}[nonce]",
    ),
    Fault(
        "ID tokens for others are taken",
        "appliance/signin/id_tokens.py",
        "if client_id not in audiences:",
        "if not audiences:",
        f"{ID_TOKENS}[audience]",
    ),
    Fault(
        "ID tokens of every issuer are taken",
        "appliance/signin/id_tokens.py",
        'if claims.get("iss") != expected.issuer:',
        'if not claims.get("iss"):',
        f"{ID_TOKENS}[issuer]",
    ),
    Fault(
        "an ID token is good for ever",
        "appliance/signin/id_tokens.py",
        "if expires + LEEWAY_S <= at:",
        "if expires <= 0:",
        f"{ID_TOKENS}[expired]",
    ),
    Fault(
        "signatures are not looked at",
        "appliance/signin/id_tokens.py",
        "token, jwt.PyJWK(dict(key), algorithm=algorithm), algorithms=[algorithm]",
        'token, options={"verify_signature": False}',
        f"{ID_TOKENS}[forged]",
    ),
    Fault(
        "an answer counts as often as it comes",
        "appliance/signin/store.py",
        "AttemptRow.delete()\n        .where(\n            AttemptRow.state_hash == state_hash",
        "AttemptRow.update(created_at=now())\n        .where(\n            AttemptRow.state_hash == state_hash",
        f"{SIGNIN}::test_an_answer_counts_once",
    ),
    Fault(
        "an answer is good in every browser",
        "appliance/signin/store.py",
        "            AttemptRow.browser_hash == browser_hash,\n",
        "",
        f"{SIGNIN}::test_an_answer_for_another_browser_signs_nobody_in",
    ),
    Fault(
        "whose answer it is does not matter",
        "appliance/signin/flow.py",
        "if issuer != metadata.issuer and (",
        "if issuer == metadata.issuer and not (",
        f"{SIGNIN}::test_an_answer_of_another_provider_is_not_used",
    ),
    Fault(
        "the provider's metadata leads anywhere",
        "appliance/sources/strangers.py",
        "self._is_known(url) or not names_private(url)",
        "self._is_known(url) or bool(url)",
        f"{SIGNIN}::test_the_hub_asks_no_neighbour_that_only_the_provider_names",
    ),
    Fault(
        "the address alone makes somebody",
        "appliance/accounts/admission.py",
        "if rules.links_by_email and arrival.is_verified:",
        "if arrival.is_verified:",
        f"{SIGNIN}::test_an_address_alone_makes_nobody_somebody",
    ),
    Fault(
        "any session takes a link that another began",
        "appliance/signin/flow.py",
        "and principal.credential_id == attempt.links_session",
        "and principal.credential_id is not None",
        f"{SIGNIN}::test_a_link_that_another_session_began_is_refused",
    ),
    Fault(
        "passwords that are off sign in",
        "appliance/accounts/service.py",
        "if self._passwords_sign_in:\n            return",
        "if self._passwords_sign_in or user:\n            return",
        f"{SIGNIN}::test_with_passwords_off_one_administrator_alone_keeps_the_door",
    ),
)


def prove() -> None:
    """Try every attack, then see every planted fault found."""
    tests = [item for found in ATTACKS.values() for item in found]
    passed = _attack(ROOT, *tests)
    if passed is None:
        raise ClaimBrokenError("an attack found its door open, or a test is gone")
    missed = []
    with tempfile.TemporaryDirectory(prefix="mcp-host-doors-") as directory:
        copy = Path(directory) / "copy"
        for name in ("appliance", "cli", "tests", "migrations", "templates", "static"):
            shutil.copytree(
                ROOT / name,
                copy / name,
                symlinks=True,
                ignore=shutil.ignore_patterns("__pycache__", "node_modules"),
            )
        shutil.copy(ROOT / "pyproject.toml", copy)
        missed = [fault.what for fault in FAULTS if not _is_seen(copy, fault)]
    hold(
        not missed,
        f"{len(ATTACKS)} kinds of attacks in {passed} tests found every door shut; of {len(FAULTS)} doors opened on purpose"
        f" {len(FAULTS) - len(missed)} were seen{''.join(f'; not seen: {item}' for item in missed)}",
    )


def _is_seen(copy: Path, fault: Fault) -> bool:
    path = copy / fault.path
    whole = path.read_text()
    if fault.text not in whole:
        raise ClaimBrokenError(
            f"{fault.path} has no {fault.text!r} to plant a fault in"
        )
    path.write_text(whole.replace(fault.text, fault.instead, 1))
    try:
        return _attack(copy, fault.test) is None
    finally:
        path.write_text(whole)


def _attack(root: Path, *tests: str) -> int | None:
    """Return how many tests passed; ``None``: one did not."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in {0, 1}:
        raise ClaimBrokenError(f"the tests did not run: {done.stdout[-2000:]}")
    if done.returncode == 0 or root == ROOT:
        print("\n".join(done.stdout.splitlines()[-3:]))
    passed = re.search(r"(\d+) passed", done.stdout)
    return int(passed[1]) if done.returncode == 0 and passed else None
