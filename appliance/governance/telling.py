"""What people and programs are told of a run, in words. Pure."""

from appliance.governance.model import Run


def told_of(run: Run, what: str, position: int | None) -> str:
    """Return what happened, in one line.

    Args:
        run: As it is.
        what: ``waiting`` or ``ended``.
        position: Of the step that waits.
    """
    if what == "waiting" and position is not None:
        step = run.steps[position - 1]
        return f"Approval wanted: {run.title} ({step.name})"
    status = run.status.value.replace("_", " ")
    return f"{run.title}: {status}"


def mail_text(run: Run, told: str, url: str) -> str:
    """Return the body of an e-mail."""
    lines = [
        f"{told}.",
        "",
        f"Workflow:  {run.workflow_name}",
        f"Tier:      {run.tier}",
        f"Digest:    {run.digest}",
        f"Started by {run.started_by}",
    ]
    if run.reason:
        lines.append(f"Reason:    {run.reason}")
    return "\n".join([*lines, "", url, ""])
