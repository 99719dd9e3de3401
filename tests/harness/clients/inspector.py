"""The Inspector's command line: one process a deed; it lists, calls, reads and gets prompts, and asks nobody anything."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

from tests.harness.node import environment, node

_PATIENCE_S = 20


def run(url: str, authorization: str, era: str) -> dict[str, str]:
    """Do the deeds, in the revision that ``era`` (``legacy`` or ``modern``) stands for."""
    return {
        name: _outcome(url, authorization, [*arguments, "--protocol-era", era], seen)
        for name, (arguments, seen) in _DEEDS.items()
    }


def _outcome(
    url: str, authorization: str, arguments: list[str], seen: Callable[[Any], bool]
) -> str:
    target = ["--cli", url, "--transport", "http", "--format", "json"]
    header = ["--header", f"Authorization: {authorization}"]
    command = node("inspector", *target, *arguments, *header)
    try:
        done = subprocess.run(
            command,
            env=environment({}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE_S,
        )
    except subprocess.TimeoutExpired:
        return f"nothing within {_PATIENCE_S} s"
    if done.returncode:
        return f"exit {done.returncode}: {done.stderr.strip()[-200:]}"
    return "ok" if seen(json.loads(done.stdout)["result"]) else done.stdout[:200]


def _tool(name: str, *arguments: str) -> list[str]:
    given = [item for pair in arguments for item in ("--tool-arg", pair)]
    return ["--method", "tools/call", "--tool-name", name, *given]


def _text_is(text: str) -> Callable[[Any], bool]:
    return lambda result: bool(result["content"][0]["text"] == text)


def _says(text: str) -> Callable[[Any], bool]:
    return lambda result: bool(result["messages"][0]["content"]["text"] == text)


_PROMPT = ["--method", "prompts/get", "--prompt-name", "test_prompt_with_arguments"]
_PROMPT += ["--prompt-args", "arg1=one", "arg2=two"]
_DEEDS: dict[str, tuple[list[str], Callable[[Any], bool]]] = {
    "list": (
        ["--method", "tools/list"],
        lambda result: "test_simple_text" in {tool["name"] for tool in result["tools"]},
    ),
    "call": (
        _tool("test_simple_text"),
        _text_is("This is a simple text response for testing."),
    ),
    "read": (
        ["--method", "resources/read", "--uri", "test://static-text"],
        lambda result: (
            result["contents"][0]["text"]
            == "This is the content of the static text resource."
        ),
    ),
    "prompt": (_PROMPT, _says("Prompt with arguments: arg1='one', arg2='two'")),
}
