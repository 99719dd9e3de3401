"""The whole of Nginx's configuration from one plan. Pure: what is wanted in, a text out; nothing is parsed or patched.

No domain is in it. Which certificate a client gets is a file named by what it asked for, and who answers is decided by the
name in the request: the box's own names lead to the hub, all others to the gateway, which knows whose they are.
"""

import hashlib
import re
from collections.abc import Iterable

from appliance.core.front_door import BOX, CERTIFICATES, CHALLENGES
from appliance.proxy import answers, saying
from appliance.proxy.model import Plan
from appliance.proxy.snippets import (
    GATEWAY_PATHS,
    HEAD,
    HOST_END,
    HTTP,
    LABEL,
    STREAM_S,
    block,
    quoted,
)

HTTPS = 443
#: What Nginx calls a status within.
_NGINX_CODES = {431: 494}
_GENERATION = "@generation@"
_GENERATION_LETTERS = 16
_SAYS = re.compile(r'return 200 "([0-9a-f]{16}) \$pid";')


def render(plan: Plan) -> str:
    """Return nginx.conf.

    Raises:
        UnsayableError: A value of the plan cannot be written.
    """
    parts = [
        _main(plan),
        block("events", f"worker_connections {saying.number(plan.connections)};"),
        block("http", "\n".join(_http(plan))),
    ]
    text = "\n".join(parts) + "\n"
    return text.replace(_GENERATION, generation_of(text))


def generation_of(text: str) -> str:
    """Return what tells one configuration from another; the running Nginx answers with its own."""
    return hashlib.sha256(text.encode()).hexdigest()[:_GENERATION_LETTERS]


def generation_in(text: str) -> str:
    """Return the generation that a rendered text has; empty: it was not rendered here."""
    found = _SAYS.search(text)
    return found[1] if found else ""


def _main(plan: Plan) -> str:
    user = f"user {saying.user(plan.user)};\n" if plan.user else ""
    return (
        HEAD
        + user
        + f"worker_rlimit_nofile {saying.number(plan.files)};\n"
        + f"worker_shutdown_timeout {saying.number(plan.leave_within_s, least=1)}s;\n"
        + f"pid {saying.path(plan.places.pid)};\n"
    )


def _http(plan: Plan) -> Iterable[str]:
    certificates = plan.places.proxy_dir / CERTIFICATES
    file = saying.path(certificates)[:-1] + '/$front_certificate.pem"'
    yield HTTP
    yield f"ssl_certificate {file};\nssl_certificate_key {file};"
    yield from _temporary(plan)
    yield from _zones(plan)
    yield from (f"set_real_ip_from {saying.network(item)};" for item in plan.trusted)
    if plan.trusted:
        yield "real_ip_header X-Forwarded-For;\nreal_ip_recursive on;"
    yield _certificate_map(plan)
    yield _upstream("hub", plan.hub, plan)
    yield _upstream("gateway", plan.gateway, plan)
    yield _status_server(plan)
    yield _plain_server(plan)
    yield _hub_server(plan)
    yield _gateway_server(plan)


def _temporary(plan: Plan) -> Iterable[str]:
    for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
        yield f"{kind}_temp_path {saying.path(plan.places.temporary / kind)};"


def _zones(plan: Plan) -> Iterable[str]:
    limits = plan.limits
    if limits.requests_per_second:
        rate = saying.number(limits.requests_per_second, least=1)
        yield f"limit_req_zone $front_address zone=front_requests:16m rate={rate}r/s;"
    if limits.connections:
        yield "limit_conn_zone $front_address zone=front_connections:16m;"


def _limiting(plan: Plan) -> str:
    limits, found = plan.limits, ""
    if limits.requests_per_second:
        burst = f" burst={saying.number(limits.burst)}" if limits.burst else ""
        nodelay = " nodelay" if limits.burst else ""
        found += f"limit_req zone=front_requests{burst}{nodelay};\n"
    if limits.connections:
        found += f"limit_conn front_connections {saying.number(limits.connections)};\n"
    return found


def _certificate_map(plan: Plan) -> str:
    """Return the map from what a client asked for, which may be anything, to the name of a file."""
    own = (*plan.hub_names, *plan.gateway_names)
    # Words come before patterns, and patterns in their order.
    lines = [f"default {BOX};", *(f'"{saying.name(item)}" {BOX};' for item in own)]
    lines += [f'"{saying.name(item)}" "{item}";' for item in plan.apart]
    for item in plan.wildcards:
        rest = saying.wildcard(item)
        pattern = rest.replace(".", r"\.")
        lines.append(rf'"~^{LABEL}\.{pattern}\z" "_.{rest}";')
    lines.append(
        rf'"~^(?=.{{1,253}}\z){LABEL}(\.{LABEL})*{HOST_END}" $ssl_server_name;'
    )
    return block("map $ssl_server_name $front_certificate", "\n".join(lines))


def _upstream(name: str, peer: str, plan: Plan) -> str:
    # Nginx closes first, so that no request meets a connection that the other side has just closed.
    return block(
        f"upstream {name}",
        f"server {saying.peer(peer)} max_fails=0;\n"
        f"keepalive 64;\nkeepalive_requests 1000000;\nkeepalive_timeout {round(plan.idle_s * 1000)}ms;",
    )


def _status_server(plan: Plan) -> str:
    listen = saying.path(plan.places.status_socket).replace('"', '"unix:', 1)
    return block(
        "server",
        f"listen {listen};\naccess_log off;\n"
        "location = /status { stub_status; }\n"
        f'location = /generation {{ default_type text/plain; return 200 "{_GENERATION} $pid"; }}\n'
        "location / { return 404; }",
    )


def _plain_server(plan: Plan) -> str:
    challenges = saying.path(plan.places.proxy_dir / CHALLENGES)[:-1] + '/$1"'
    port = f":{saying.number(plan.https_port)}" if plan.https_port != HTTPS else ""
    return block(
        "server",
        _listens(plan, plan.http_port, "default_server")
        + "server_name _;\n"
        + block(
            r'location ~ "^/\.well-known/acme-challenge/([A-Za-z0-9_-]{1,255})\z"',
            f"alias {challenges};\ndefault_type text/plain;\nopen_file_cache off;\n"
            "add_header X-Content-Type-Options nosniff always;",
        )
        + f"location / {{ return 308 https://$host{port}$request_uri; }}\n"
        + _refusals(plan),
    )


def _hub_server(plan: Plan) -> str:
    names = " ".join(saying.name(item) for item in (*plan.hub_names, "localhost"))
    return _tls_server(
        plan,
        "ssl http2",
        f'server_name {names} "~^[0-9.]+\\z" "~^\\[[0-9a-f:.]+\\]\\z";\n'
        f"client_max_body_size {saying.number(plan.hub_body_bytes)};\n"
        + block(
            f'location ~ "{GATEWAY_PATHS}"',
            f"client_max_body_size {saying.number(plan.gateway_body_bytes)};\n"
            + _passing("gateway"),
        )
        + block("location /", _passing("hub"))
        + _away(plan, "hub")
        + _away(plan, "gateway"),
    )


def _gateway_server(plan: Plan) -> str:
    return _tls_server(
        plan,
        "ssl http2 default_server",
        f"server_name _;\nclient_max_body_size {saying.number(plan.gateway_body_bytes)};\n"
        + block("location /", _passing("gateway"))
        + _away(plan, "gateway"),
    )


def _tls_server(plan: Plan, words: str, places: str) -> str:
    leaving = saying.path(plan.places.leaving)
    return block(
        "server",
        _listens(plan, plan.https_port, words)
        + 'set $front_leaving "";\n'
        + f'if (-f {leaving}) {{ set $front_leaving "leaving "; }}\n'
        + _headers(plan)
        + _limiting(plan)
        + places
        + _refusals(plan)
        # A plain request on the port of TLS is led there.
        + "error_page 497 =308 https://$host$front_port$request_uri;\n",
    )


def _listens(plan: Plan, port: int, words: str) -> str:
    only = {True: " ipv6only=on", False: ""}
    return "".join(
        f"listen {saying.address(item)}:{saying.number(port, least=1)} {words}"
        f"{only[item.startswith('[') and 'default_server' in words]};\n"
        for item in plan.addresses
    )


def _headers(plan: Plan) -> str:
    found = "add_header X-Request-ID $request_id always;\nadd_header Connection $front_connection always;\n"
    if plan.hsts_seconds:
        age = saying.number(plan.hsts_seconds)
        found += f'add_header Strict-Transport-Security "max-age={age}" always;\n'
    return found


def _passing(who: str) -> str:
    # What is said here takes the place of all that is said around it, so everything is said again.
    return (
        f"proxy_pass http://{who};\nproxy_read_timeout {STREAM_S}s;\n"
        + _pages(who, answers.away(who))
        + _pages("refused", answers.REFUSALS)
    )


def _pages(key: str, statuses: Iterable[int]) -> str:
    return "".join(
        f"error_page {_NGINX_CODES.get(status, status)} /.front-door/{key}-{status}-$front_as;\n"
        for status in statuses
    )


def _away(plan: Plan, who: str) -> str:
    told = answers.away(who)
    return "".join(_answer(plan, f"{who}-{status}", told[status]) for status in told)


def _refusals(plan: Plan) -> str:
    told = answers.REFUSALS
    return _pages("refused", told) + "".join(
        _answer(plan, f"refused-{status}", told[status]) for status in told
    )


def _answer(plan: Plan, key: str, told: answers.Told) -> str:
    """Return the two forms of one answer, which nobody but Nginx itself can ask for."""
    shared = (
        "internal;\n"
        + _headers(plan)
        + "add_header Cache-Control no-store always;\nadd_header X-Content-Type-Options nosniff always;\n"
        + "add_header Referrer-Policy same-origin always;\n"
    )
    if told.retry_after_s:
        shared += f"add_header Retry-After {told.retry_after_s} always;\n"
    policy = {
        "problem": "default-src 'none'; frame-ancestors 'none'",
        "page": answers.page_policy(),
    }
    bodies = {
        "problem": ("application/problem+json", answers.problem(told)),
        "page": ("text/html", answers.page(told)),
    }
    return "".join(
        block(
            f"location = /.front-door/{key}-{form}",
            f"{shared}add_header Content-Security-Policy {quoted(policy[form])} always;\n"
            f"default_type {kind};\ncharset utf-8;\nreturn {told.status} {quoted(body)};",
        )
        for form, (kind, body) in bodies.items()
    )
