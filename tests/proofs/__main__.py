"""``scripts/prove``: the list, one proof, or all."""

import importlib
import sys
import time
from dataclasses import dataclass

from tests.proofs.claim import ClaimBrokenError, MissingError


@dataclass(frozen=True)
class Proof:
    """One line of the list; the module of the same name has ``prove()``."""

    name: str
    minutes: int
    claim: str

    def run(self) -> None:
        """Measure; raises when the claim does not hold."""
        importlib.import_module(f"tests.proofs.{self.name.replace('-', '_')}").prove()


PROOFS = (
    Proof(
        "quickstart",
        25,
        "both README commands on four clean Debian boxes; quickstart within 5 min cold, 20 s warm",
    ),
    Proof(
        "fresh-install",
        40,
        "blank Debian boxes: install, a name with a certificate, reboot, upgrades under 100 calls/s, restored elsewhere",
    ),
    Proof(
        "survives-kills",
        4,
        "kill -9 of every process during a build and calls: all back, nothing lost or doubled",
    ),
    Proof(
        "browser-main-flow",
        2,
        "a headless browser logs in, creates a server, watches the build, calls a tool, deletes it",
    ),
    Proof(
        "time-to-first-call",
        3,
        "create to first answered call within 1.5 times of doing it by hand",
    ),
    Proof(
        "memory-at-rest",
        1,
        "hub, gateway with 2 workers and Postgres at rest: at most 220 MB PSS",
    ),
    Proof(
        "access-matrix",
        4,
        "every route of the hub, asked with 47 kinds of credentials: the expected answer, and what is refused is not done",
    ),
    Proof(
        "orgs-apart",
        4,
        "strangers to an organisation act in 40 made-up orders of 25 steps: nothing of it changes, is seen, or is called",
    ),
    Proof(
        "openapi",
        8,
        "schemathesis over the whole OpenAPI document as three kinds of people: no 5xx, every answer as documented",
    ),
    Proof(
        "conformance",
        2,
        "the official suite, both requirement sets, through the gateway before five builds of a server",
    ),
    Proof(
        "client-matrix",
        3,
        "ten ways of using clients of others, at three builds of a server: list, call, progress, cancel, ask back",
    ),
    Proof(
        "oauth-clients",
        3,
        "four clients of others go through sign-in and consent in a browser, by document and by registration",
    ),
    Proof(
        "auth-conformance",
        1,
        "the official suite's scenarios for authorization servers, at every revision that it has them for",
    ),
    Proof(
        "no-leaks",
        2,
        "1,000 clients vanish in the middle, workers and bridge are killed: all is back within 10 s",
    ),
    Proof(
        "calls-survive",
        3,
        "calls in flight outlive the hub, Postgres for 60 s, another worker, another server's redeployment",
    ),
    Proof(
        "truthful-health",
        3,
        "servers that refuse, fail, hang, babble, die and are paused: status right within one interval, and after repair",
    ),
    Proof(
        "deploys-under-load",
        8,
        "200 calls/s, 30 s tools, open streams, 20 deployments, 5 of them bad: no call fails, no bad one is switched to",
    ),
    Proof(
        "governed-launch",
        4,
        "by REST, mcpctl and browser: built, held, certified, promoted, launched; failed run, roll back: no call fails",
    ),
    Proof(
        "stays-served",
        14,
        "every process killed or stopped under load, Postgres away, disk full, clock set: what is served stays served",
    ),
    Proof(
        "reconcile",
        6,
        "engine restarted, killed, away; containers removed; clock jumped; disk full: all back, never two of one",
    ),
    Proof(
        "isolation",
        5,
        "hundreds of made-up afternoons of many principals: no secret reaches another, its log or its traces",
    ),
    Proof(
        "parser-fuzz",
        2,
        "the gateway's reader of HTTP never disagrees with aiohttp's two, whatever bytes come and however they are cut",
    ),
    Proof(
        "push-telemetry",
        1,
        "every registry event with every field, over REST and SSE, from real pushes: success, faults, refresh, rotation, prune",
    ),
    Proof(
        "hostile-sources",
        8,
        "archives, repositories, Dockerfiles and fields that try something: named failures, and no canary anywhere",
    ),
    Proof(
        "hostile-registry",
        2,
        "a registry that refuses, cuts, stalls, truncates and lies at every request of a push: all named, no hang, no secret",
    ),
    Proof(
        "multi-arch",
        2,
        "two platforms pushed to three kinds of registry: ledger and registry agree by digest, skopeo copies, images run",
    ),
    Proof(
        "crash-only-builds",
        3,
        "kill -9 of the hub at seven moments of a build: it runs, one ledger row, one tag, nothing left behind",
    ),
    Proof(
        "build-overhead",
        5,
        "two platforms, cached base: at most 1.05 times two parallel docker buildx build --push by hand",
    ),
    Proof(
        "gate-property",
        4,
        "40 random histories of calls, deaths, retries and clocks: nothing launches that the policy of its moment holds",
    ),
    Proof(
        "decision-speed",
        3,
        "with 100,000 builds and 10,000 certifications, p99 of a decision, gathered, made and stored, at most 5 ms",
    ),
    Proof(
        "marketplace-speed",
        4,
        "100,000 builds: p99 of searches 3 ms for three letters and more, 10 ms otherwise; the page begins within 30 ms",
    ),
    Proof(
        "gateway-speed",
        4,
        "traced calls, one worker on one core: at least 0.65 times Nginx's rate, at most 1.6 times its CPU, 40 MB",
    ),
    Proof(
        "stdio-speed",
        1,
        "calls to a stdio server, 8 clients: at least 1,500 calls/s, p99 at most 25 ms",
    ),
    Proof(
        "packages",
        6,
        "twenty published packages, hosted as they are, list the same tools as by hand",
    ),
    Proof(
        "escape",
        4,
        "a server tries 21 tricks and 19 ways through the network by its own tools: each fails and is on its page",
    ),
    Proof(
        "density",
        14,
        "100 idle stdio servers: at most 8 MB each beyond the server's own process, the hub at most 3 % of a core",
    ),
    Proof(
        "log-fanout",
        2,
        "50 watchers of 80 lines/s: 4,000 delivered/s, p99 under 50 ms; hub killed: no gap, no double; a flood stays bounded",
    ),
    Proof(
        "canary-secret",
        3,
        "values given as secrets, to servers that print them wherever they can, are found nowhere, in any common form",
    ),
    Proof(
        "doors-shut",
        8,
        "spraying, fixation, CSRF, timing, replay, framing, made-up headers, floods, OAuth tricks: shut; planted faults: seen",
    ),
    Proof(
        "certificates",
        4,
        "issued, renewed, expired, CA down, limited, wrong DNS, revoked account, kill -9: told; what was good is served",
    ),
    Proof(
        "container-image",
        25,
        "built and run with every option, amd64 and emulated arm64; one killed: all stop in order, the exit code tells which",
    ),
    Proof(
        "admin-guide",
        8,
        "the commands of the administration guide that need a box of their own, on a clean Debian with systemd",
    ),
    Proof(
        "tls",
        2,
        "the front door: TLS 1.2 and 1.3 and nothing older, good suites alone, no name leads astray, headers on every page",
    ),
    Proof(
        "domains",
        4,
        "one more among 5,000 domains serves within 50 ms, no reload; changes, renewals and reloads under load fail nothing",
    ),
    Proof(
        "compiled-servers",
        5,
        "a Rust and a Go server without Dockerfile, from git to a called tool; images below 16 MiB",
    ),
)


def main(arguments: list[str]) -> int:
    """Run what is named; 0: every claim holds, 1: one does not, 2: something needed is missing."""
    if not arguments:
        for proof in PROOFS:
            print(f"{proof.name:<20} {proof.minutes:>3} min  {proof.claim}")
        return 0
    known = {proof.name: proof for proof in PROOFS}
    names = list(known) if arguments == ["--all"] else arguments
    if unknown := [name for name in names if name not in known]:
        print(
            f"prove: no proof named {', '.join(unknown)}; scripts/prove lists them",
            file=sys.stderr,
        )
        return 2
    return max(_run(known[name]) for name in names)


def _run(proof: Proof) -> int:
    started = time.monotonic()
    try:
        proof.run()
    except MissingError as error:
        print(f"{proof.name}: cannot be measured here: {error}")
        return 2
    except ClaimBrokenError as error:
        print(f"{proof.name}: BROKEN: {error}")
        return 1
    print(f"{proof.name}: holds ({time.monotonic() - started:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
