"""mcpctl backups and doctor, as people run them."""

from pathlib import Path

from appliance.backups import store
from tests.functional.hub import Hub
from tests.functional.test_mcpctl import Terminal


async def test_backups_are_looked_at_and_tried_from_the_command_line(
    hub: Hub, tmp_path: Path
) -> None:
    ada = Terminal(hub, tmp_path)
    ada.show_key(await hub.person("admin@example.org"))

    def fill() -> None:
        made = store.begin("a.tar", "/srv", is_scheduled=True, requested_by="system")
        server = {"id": 1, "name": "time", "image": "included", "data": "frozen"}
        parts = [{"what": "database", "size_bytes": 3 * 1024**2}]
        summary = {"version": "1.0", "parts": parts, "servers": [server]}
        store.succeed(made.id, size_bytes=4 * 1024**2, summary=summary, verified=True)

    await hub.database.run(fill)

    listed = await ada.run("backups")
    shown = await ada.run("backups", "show", "1")
    tried = await ada.run("backups", "check-target", str(tmp_path / "there"))
    refused = await ada.run("backups", "start")
    ended = await ada.run("backups", "cancel", "1")
    looked = await ada.run("doctor")

    assert "never by the clock" in listed.out
    assert "4.0 MiB" in listed.out
    assert "frozen" in shown.out
    assert "can be written to" in tried.out
    assert refused.code == 1
    assert "BACKUP_PASSPHRASE_FILE" in refused.err
    assert "has ended" in ended.err
    assert looked.code in {1, 2}, "no appliance runs around this hub"
    assert "→ mcp-host up" in looked.out
