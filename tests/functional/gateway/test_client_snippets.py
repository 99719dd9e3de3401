"""Snippets that can be run here are: what a person pastes reaches the server through the gateway."""

import os
import subprocess
import sys
from pathlib import Path

from appliance.web.connect import chosen, client_configs
from tests.fakes.mcp_box import Box


def snippet(box: Box, client: str) -> str:
    endpoint = f"{box.url}/servers/fake/mcp"
    return chosen(client_configs("fake", endpoint, box.key), client)[0].text


def test_the_python_snippet_lists_the_servers_tools(
    stdio_box: Box, tmp_path: Path
) -> None:
    program = tmp_path / "client.py"
    program.write_text(snippet(stdio_box, "python"))

    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, check=False,
        timeout=60, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "echo" in done.stdout.split()


def test_the_curl_snippet_opens_the_server(stdio_box: Box) -> None:
    done = subprocess.run(
        ["sh", "-c", snippet(stdio_box, "curl")], capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert '"serverInfo"' in done.stdout
