"""What people and programs are told of an alert, in words. Pure."""

from collections.abc import Mapping
from typing import Any

from appliance.alerts.model import Alert, News

_BEGINNINGS = {
    News.BEGAN: "",
    News.ENDED: "Over: ",
    News.REMINDER: "Still: ",
    News.TEST: "Test: ",
}


def headline(alert: Alert, news: News) -> str:
    """Return what happened, in one line."""
    severity = "" if news is News.ENDED else f"[{alert.severity.value}] "
    return f"{severity}{_BEGINNINGS[news]}{alert.text}"


def mail_text(alert: Alert, news: News, *, box: str, url: str) -> str:
    """Return the body of an e-mail.

    Args:
        box: What the box is called.
        url: Of the page Alerts.
    """
    lines = [headline(alert, news), ""]
    if alert.hint and news is not News.ENDED:
        lines += [alert.hint, ""]
    lines += [
        f"Box:    {box}",
        f"Alert:  {alert.key}",
        f"Since:  {alert.since:%Y-%m-%d %H:%M} UTC",
    ]
    if alert.ended_at:
        lines.append(f"Ended:  {alert.ended_at:%Y-%m-%d %H:%M} UTC")
    return "\n".join([*lines, "", url, ""])


def body(alert: Alert, news: News, *, box: str, url: str) -> Mapping[str, Any]:
    """Return what a program is told; ``text`` is what chat programs show."""
    return {
        "event": f"alert.{news.value}",
        "text": f"{box}: {headline(alert, news)}",
        "box": box,
        "alert": {
            "id": alert.id,
            "key": alert.key,
            "severity": alert.severity.value,
            "text": alert.text,
            "hint": alert.hint,
            "since": alert.since.isoformat(),
            "ended_at": alert.ended_at.isoformat() if alert.ended_at else None,
            "url": url,
        },
    }
