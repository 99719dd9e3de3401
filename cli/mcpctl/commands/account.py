"""login, logout, whoami."""

import contextlib
import socket
import sys
from http.cookies import SimpleCookie
from typing import Any

import click

from mcpctl import config
from mcpctl.client import Answer, Client
from mcpctl.commands.common import client, json_option
from mcpctl.errors import ApiError, CommandError, NotLoggedInError
from mcpctl.output import emit_json, pairs


@click.command()
@click.option("--url", help="Address of the hub, such as https://mcp.example.org.")
@click.option("--email", help="Who logs in.")
@click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input."
)
@json_option
def login(
    url: str | None, email: str | None, *, password_stdin: bool, as_json: bool
) -> None:
    """Log in once and keep an API key of this computer's own."""
    address = (url or config.load().url).rstrip("/")
    who = email or click.prompt("E-mail", err=True)
    password = (
        sys.stdin.readline().rstrip("\n")
        if password_stdin
        else click.prompt("Password", hide_input=True, err=True)
    )
    key = _make_key(Client(address), who, password)
    path = config.save(config.Config(address, key["key"], key["id"]))
    if as_json:
        emit_json(
            {"url": address, "email": who, "key_id": key["id"], "config": str(path)}
        )
    else:
        click.echo(f"Logged in to {address} as {who}; the key is in {path}.")


def _make_key(hub: Client, email: str, password: str) -> dict[str, Any]:
    """Return a new API key, made in a session that ends at once."""
    answer = _sign_in(hub, {"email": email, "password": password})
    session = {"Cookie": _cookies(answer), "X-CSRF-Token": answer.json()["csrf_token"]}
    try:
        name = f"mcpctl on {socket.gethostname()}"[:100]
        made = hub.send("POST", "/api/keys", {"name": name}, headers=session).json()
    finally:
        with contextlib.suppress(CommandError):
            hub.send("POST", "/api/logout", headers=session)
    if not isinstance(made, dict):
        raise CommandError("The hub's answer holds no key.")
    return made


def _sign_in(hub: Client, body: dict[str, str]) -> Answer:
    """Sign in; who has a second factor is asked for a code."""
    try:
        return hub.send("POST", "/api/login", body)
    except ApiError as error:
        if error.problem.get("code") != "code_required":
            raise
    code = click.prompt("Code of your app, or a recovery code", err=True)
    return hub.send("POST", "/api/login", {**body, "code": code})


def _cookies(answer: Answer) -> str:
    jar: SimpleCookie = SimpleCookie()
    for header in answer.headers.get_all("Set-Cookie", []):
        jar.load(header)
    return "; ".join(f"{name}={item.value}" for name, item in jar.items())


@click.command()
@json_option
def logout(*, as_json: bool) -> None:
    """Revoke the stored API key and forget it."""
    found = config.load()
    if not found.api_key:
        raise NotLoggedInError("Nobody is logged in.")
    if found.key_id is not None:
        # A key that the hub does not know any more is revoked already.
        with contextlib.suppress(ApiError):
            Client(found.url, found.api_key).delete(f"/api/keys/{found.key_id}")
    config.save(config.Config(found.url))
    if as_json:
        emit_json({"url": found.url, "revoked": found.key_id})
    else:
        click.echo(f"Logged out of {found.url}; the key is revoked.")


@click.command()
@json_option
def whoami(*, as_json: bool) -> None:
    """Show who the key belongs to."""
    hub = client()
    me = hub.get("/api/me")
    if as_json:
        emit_json(me)
    else:
        pairs([("hub", hub.url), ("e-mail", me["email"]), ("role", me["role"])])
