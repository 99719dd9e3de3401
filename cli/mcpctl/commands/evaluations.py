"""evaluations: tests, suites, replays, scores and certifications."""

import json
import sys
import time
from typing import Any

import click

from mcpctl.client import Client, path_of
from mcpctl.commands.certifications import (
    certifications,
    certify,
    document,
    retry,
    without_none,
)
from mcpctl.commands.common import client, output_option
from mcpctl.errors import CommandError
from mcpctl.output import age, emit_json, pairs, state, table

#: Seconds between two looks at a run.
LOOK_S = 0.5
FINISHED = frozenset({"passed", "failed", "broken", "cancelled"})


wait_option = click.option(
    "--wait", is_flag=True, help="Until it has ended; exits 1 unless it passed."
)
deployment_option = click.option(
    "--deployment",
    type=int,
    help="Number of the one that is asked; without: the one that is live.",
)


@click.group()
def evaluations() -> None:
    """Test servers, replay recorded calls, certify versions. SERVER is a name or an id."""


def _base(server: str, *parts: str | int) -> str:
    return path_of("servers", server, "evaluations", *parts)


def _percent(score: float | None) -> str:
    return "-" if score is None else f"{100 * score:.0f} %"


# -- scores


@evaluations.command()
@output_option
def scoreboard(*, as_json: bool) -> None:
    """Show servers by what their suites last said, the best first."""
    found = client().get("/api/evaluations")
    if as_json:
        emit_json(found)
        return
    table(
        ("place", "server", "said", "score", "tests", "when"),
        [
            (item["rank"] or "-", item["server_name"], state(item["state"]) if item["state"] else "-",
             _percent(item["score"]), f"{item['passed']}/{item['total']}",
             age(item["last_at"]) if item["last_at"] else "-")
            for item in found["items"]
        ],
        empty="No servers.",
    )  # fmt: skip


@evaluations.command()
@click.argument("server")
@output_option
def summary(server: str, *, as_json: bool) -> None:
    """Show one server's place, and what each of its suites last said."""
    found = client().get(_base(server))
    if as_json:
        emit_json(found)
        return
    pairs(
        [
            ("server", found["server_name"]),
            ("score", _percent(found["score"])),
            ("place", found["rank"]),
            ("tests", f"{found['passed']} of {found['total']} pass"),
        ]
    )
    table(
        ("suite", "said", "score", "run", "runs before"),
        [
            (item["name"], state(item["state"]), _percent(item["score"]), item["run_id"],
             " ".join(_percent(point["score"]) for point in item["trend"][:-1][-5:]))
            for item in found["suites"]
        ],
        empty="No suite was run yet.",
    )  # fmt: skip


# -- tests and suites


@evaluations.command()
@click.argument("server")
@output_option
def tests(server: str, *, as_json: bool) -> None:
    """Show a server's tests."""
    found = client().get(_base(server, "tests"))
    if as_json:
        emit_json(found)
        return
    table(
        ("id", "test", "tool", "expectation"),
        [
            (item["id"], item["name"], item["tool"], json.dumps(item["expectation"])[:60])
            for item in found["items"]
        ],
        empty="No tests. 'mcpctl evaluations add-test' adds one.",
    )  # fmt: skip


file_argument = click.argument("file")


@evaluations.command("add-test")
@click.argument("server")
@file_argument
@output_option
def add_test(server: str, file: str, *, as_json: bool) -> None:
    """Add the test in FILE (JSON; -: standard input): name, tool, arguments, expectation, timeout_s."""
    made = client().post(_base(server, "tests"), document(file))
    _tell_made(made, "test", as_json=as_json)


@evaluations.command("change-test")
@click.argument("server")
@click.argument("test_id", type=int)
@file_argument
@output_option
def change_test(server: str, test_id: int, file: str, *, as_json: bool) -> None:
    """Put the test in FILE in place of one."""
    made = client().put_json(_base(server, "tests", test_id), document(file))
    _tell_made(made, "test", as_json=as_json)


@evaluations.command("remove-test")
@click.argument("server")
@click.argument("test_id", type=int)
def remove_test(server: str, test_id: int) -> None:
    """Remove a test that no suite holds."""
    client().delete(_base(server, "tests", test_id))


@evaluations.command("try")
@click.argument("server")
@file_argument
@output_option
def try_test(server: str, file: str, *, as_json: bool) -> None:
    """Run the test in FILE once, without keeping it; exits 1 unless it passes."""
    found = client().post(_base(server, "try"), document(file))
    if as_json:
        emit_json(found)
    else:
        click.echo(f"{state(found['outcome'])} in {found['duration_ms']:.0f} ms")
        if found["problem"]:
            click.echo(found["problem"])
        click.echo(found["answered"])
    if found["outcome"] != "passed":
        sys.exit(1)


@evaluations.command()
@click.argument("server")
@output_option
def suites(server: str, *, as_json: bool) -> None:
    """Show a server's suites."""
    found = client().get(_base(server, "suites"))
    if as_json:
        emit_json(found)
        return
    table(
        ("id", "suite", "tests", "must pass", "certifies", "next run"),
        [
            (item["id"], item["name"], " ".join(map(str, item["tests"])), _percent(item["pass_share"]),
             item["certifies"]["requirement"] if item["certifies"] else "-", item["next_run_at"] or "by hand")
            for item in found["items"]
        ],
        empty="No suites. 'mcpctl evaluations add-suite' adds one.",
    )  # fmt: skip


@evaluations.command("add-suite")
@click.argument("server")
@file_argument
@output_option
def add_suite(server: str, file: str, *, as_json: bool) -> None:
    """Add the suite in FILE (JSON; -: standard input): name, tests, pass_share, certifies, schedule."""
    made = client().post(_base(server, "suites"), document(file))
    _tell_made(made, "suite", as_json=as_json)


@evaluations.command("change-suite")
@click.argument("server")
@click.argument("suite")
@file_argument
@output_option
def change_suite(server: str, suite: str, file: str, *, as_json: bool) -> None:
    """Put the suite in FILE in place of one."""
    hub = client()
    made = hub.put_json(
        _base(server, "suites", _suite_id(hub, server, suite)), document(file)
    )
    _tell_made(made, "suite", as_json=as_json)


@evaluations.command("remove-suite")
@click.argument("server")
@click.argument("suite")
def remove_suite(server: str, suite: str) -> None:
    """Remove a suite; what its runs found stays."""
    hub = client()
    hub.delete(_base(server, "suites", _suite_id(hub, server, suite)))


def _tell_made(made: dict[str, Any], what: str, *, as_json: bool) -> None:
    if as_json:
        emit_json(made)
    else:
        click.echo(f"{what} {made['id']} {made['name']}")


def _suite_id(hub: Client, server: str, suite: str) -> int:
    items = hub.get(_base(server, "suites"))["items"]
    for item in items:
        if suite in {item["name"], str(item["id"])}:
            return int(item["id"])
    names = ", ".join(item["name"] for item in items) or "none"
    raise CommandError(f"{server} has no suite {suite}.", hint=f"Its suites: {names}.")


# -- runs


@evaluations.command()
@click.argument("server")
@click.argument("suite")
@deployment_option
@wait_option
@output_option
def run(
    server: str, suite: str, deployment: int | None, *, wait: bool, as_json: bool
) -> None:
    """Run a suite, by its name or id."""
    hub = client()
    path = _base(server, "suites", _suite_id(hub, server, suite), "run")
    made = hub.post(path, without_none(deployment=deployment))
    _tell_run(hub, server, made, wait=wait, as_json=as_json)


@evaluations.command()
@click.argument("server")
@click.option(
    "--tool",
    "tools",
    multiple=True,
    help="May be called; repeat for more. Without: tools with readOnlyHint.",
)
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@click.option("--certify", help="The requirement that a replay without differences fulfils.")  # fmt: skip
@click.option("--valid-days", type=int, help="Days for which it does.")
@deployment_option
@wait_option
@output_option
def replay(
    server: str,
    tools: tuple[str, ...],
    *,
    wait: bool,
    as_json: bool,
    certify: str | None,
    valid_days: int | None,
    **options: Any,
) -> None:
    """Make recorded calls again, and compare the answers with those that were recorded."""
    hub = client()
    body = without_none(tools=list(tools), **options)
    if certify:
        body["certifies"] = without_none(requirement=certify, valid_days=valid_days)
    made = hub.post(_base(server, "replay"), body)
    _tell_run(hub, server, made, wait=wait, as_json=as_json)


def _tell_run(
    hub: Client, server: str, made: dict[str, Any], *, wait: bool, as_json: bool
) -> None:
    if wait:
        made = _awaited(hub, server, made, quiet=as_json)
    if as_json:
        emit_json(made)
    else:
        _show_run(made)
    if wait and made["state"] != "passed":
        sys.exit(1)


def _awaited(
    hub: Client, server: str, made: dict[str, Any], *, quiet: bool
) -> dict[str, Any]:
    done = -1
    while True:
        found: dict[str, Any] = hub.get(_base(server, "runs", made["id"]))
        if not quiet and found["done"] != done:
            done = found["done"]
            click.echo(f"{done} of {found['total'] or '?'} calls", err=True)
        if found["state"] in FINISHED:
            return found
        time.sleep(LOOK_S)


def _left_out(summary: dict[str, Any]) -> str:
    reasons = summary.get("left_out", {})
    return " ".join(f"{count} {why}" for why, count in reasons.items())


def _show_run(found: dict[str, Any]) -> None:
    pairs(
        [
            ("run", found["id"]),
            ("what", found["suite_name"] or "replay"),
            ("state", state(found["state"])),
            ("reason", found["reason"]),
            ("deployment", found["deployment"]),
            ("digest", found["digest"]),
            ("passed", f"{found['passed']} of {found['total']}"),
            ("left out", _left_out(found["summary"])),
            ("certification", found["certification_id"]),
        ]
    )  # fmt: skip
    if results := found.get("results"):
        table(
            ("", "call", "outcome", "ms", "problem"),
            [
                (item["position"], item["name"], state(item["outcome"]), f"{item['duration_ms']:.0f}", item["problem"][:100])
                for item in results
            ],
            empty="",
        )  # fmt: skip


@evaluations.command()
@click.argument("server")
@click.option("--suite", help="Only of this one, by its name or id.")
@click.option("--limit", type=click.IntRange(1, 200), default=30, show_default=True)
@click.option("--cursor", help="next_cursor of the page before; JSON shows it.")
@output_option
def runs(server: str, suite: str | None, *, as_json: bool, **options: Any) -> None:
    """Show runs of suites and replays, newest first."""
    hub = client()
    chosen = _suite_id(hub, server, suite) if suite else None
    found = hub.get(_base(server, "runs"), suite=chosen, **options)
    if as_json:
        emit_json(found)
        return
    table(
        ("run", "what", "deployment", "state", "passed", "asked for by", "when"),
        [
            (item["id"], item["suite_name"] or "replay", item["deployment"], state(item["state"]),
             f"{item['passed']}/{item['total']}", item["requested_by"], age(item["created_at"]))
            for item in found["items"]
        ],
        empty="Nothing was run yet.",
    )  # fmt: skip


@evaluations.command("show")
@click.argument("server")
@click.argument("run_id", type=int)
@wait_option
@output_option
def show_run(server: str, run_id: int, *, wait: bool, as_json: bool) -> None:
    """Show a run, what came of its calls, and how a replay's answers differ."""
    hub = client()
    found = hub.get(_base(server, "runs", run_id))
    _tell_run(hub, server, found, wait=wait, as_json=as_json)
    if not as_json:
        _show_differences(found)


def _show_differences(found: dict[str, Any]) -> None:
    rows = [
        (item["tool"], difference["kind"], difference["path"], difference["before"][:40],
         difference["after"][:40], "accepted" if difference["accepted"] else "")
        for item in found["results"]
        for difference in item["differences"]
    ]  # fmt: skip
    if rows:
        table(("tool", "what", "place", "recorded", "answered now", ""), rows, empty="")


@evaluations.command()
@click.argument("server")
@click.argument("run_id", type=int)
def cancel(server: str, run_id: int) -> None:
    """End a run that has not ended."""
    client().post(_base(server, "runs", run_id, "cancel"), {})


@evaluations.command()
@click.argument("server")
@click.argument("run_id", type=int)
@click.option("--tool", default="", help="With --path and --kind: one difference. Without: all.")  # fmt: skip
@click.option("--path", default="", help="Such as '$.items[*].price'.")
@click.option("--kind", default="", help="error_class, shape, value, latency or size.")
@click.option("--reason", default="", help="Why.")
@output_option
def accept(server: str, run_id: int, *, as_json: bool, **body: str) -> None:
    """Accept differences that a replay found: they are not told of again."""
    found = client().post(_base(server, "runs", run_id, "accept"), body)
    if as_json:
        emit_json(found)
    else:
        _show_differences(found)


@evaluations.command()
@click.argument("server")
@output_option
def accepted(server: str, *, as_json: bool) -> None:
    """Show the differences that replays do not tell of any more."""
    found = client().get(_base(server, "accepted"))
    if as_json:
        emit_json(found)
        return
    table(
        ("id", "tool", "what", "place", "by", "why"),
        [
            (item["id"], item["tool"], item["kind"], item["path"], item["accepted_by"], item["reason"])
            for item in found["items"]
        ],
        empty="None.",
    )  # fmt: skip


@evaluations.command("take-back")
@click.argument("server")
@click.argument("accepted_id", type=int)
def take_back(server: str, accepted_id: int) -> None:
    """Have replays tell of a difference again."""
    client().delete(_base(server, "accepted", accepted_id))


for command in (certifications, certify, retry):
    evaluations.add_command(command)
