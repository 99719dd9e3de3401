"""Another program is told, and may be waited for. Pure."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from appliance.governance.model import Run, StepRun
from appliance.governance.steps.base import Reader, Setting
from appliance.notifying.signing import url_problem


class WebhookKind:
    """Calls another program, signed."""

    name = "webhook"
    label = "Webhook"
    help = "Tells another program, signed; it may answer later whether the run goes on."
    is_automatic = True
    settings: tuple[Setting, ...] = (
        Setting("url", "Address", "text", "Of the program, such as https://ci.example.org/hooks/release."),
        Setting("wait", "Wait for its word", "check", "It then answers at the address that it is told; else a 2xx is enough."),
    )  # fmt: skip

    def parse(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings, complete and in order."""
        reader = Reader(config)
        url = reader.text("url", required=True)
        if url and (problem := url_problem(url)):
            reader.refuse("url", problem)
        found = {"url": url, "wait": reader.flag("wait", default=False)}
        reader.end()
        return found

    def describe(self, config: Mapping[str, Any]) -> str:
        """Return who is told."""
        host = urlsplit(config["url"]).hostname
        return f"the word of {host}" if config["wait"] else f"{host} to be told"


def callback_token(secret: bytes, step_run_id: int) -> str:
    """Return with what a program answers about one step; made of the run's secret, so it is stored nowhere."""
    mac = hmac.new(secret, f"callback:{step_run_id}".encode(), hashlib.sha256)
    return mac.hexdigest()


def body_of(run: Run, step: StepRun, callback: Mapping[str, str] | None) -> dict[str, Any]:  # fmt: skip
    """Return what the program is told.

    Args:
        callback: Where to answer, and with what; ``None``: no answer is waited for.
    """
    told: dict[str, Any] = {
        "event": "governance.step",
        "run": {
            "id": run.id,
            "title": run.title,
            "workflow": run.workflow_name,
            "tier": run.tier,
            "manifest_digest": run.digest,
            "artifact_run_id": run.artifact_run_id,
            "started_by": run.started_by,
        },
        "step": {"id": step.id, "position": step.position, "name": step.name},
    }
    return told if callback is None else {**told, "callback": dict(callback)}
