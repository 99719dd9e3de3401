"""Lets a repository's own Dockerfile build behind a company's proxy. Pure.

Whatever the Dockerfile runs finds the box's certificates in a file that is there only while it runs, and the variables by
which the usual tools are told of it. The image keeps neither. A variable that the Dockerfile sets itself stays as it is.
"""

import re
from collections.abc import Iterator

CA_SECRET = "mcp-host-ca"  # noqa: S105 - a name
CA_PATH = "/run/mcp-host/ca.pem"
VARIABLES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "CURL_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
)
MOUNT = f"--mount=type=secret,id={CA_SECRET},target={CA_PATH},mode=0444"

_ESCAPE = re.compile(r"#\s*escape\s*=\s*(?P<character>[\\`])\s*", re.IGNORECASE)
_DIRECTIVE = re.compile(r"#\s*[A-Za-z]+\s*=.*")
_HEREDOC = re.compile(
    r"<<-?(?P<quote>[\"']?)(?P<word>[A-Za-z_][A-Za-z0-9_]*)(?P=quote)"
)
_RUN = re.compile(r"(?P<before>\s*RUN\s+)(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_FROM = re.compile(r"\s*FROM\s", re.IGNORECASE)
_TAKES_HEREDOC = re.compile(r"\s*(?:RUN|COPY|ADD)\s", re.IGNORECASE)


def trusting(dockerfile: str) -> str:
    """Return ``dockerfile`` with the box's certificates at hand in every ``RUN``."""
    found: list[str] = []
    for instruction in _instructions(dockerfile.splitlines()):
        text = "\n".join(instruction)
        run = _RUN.fullmatch(text)
        found.append(f"{run['before']}{MOUNT} {run['rest']}" if run else text)
        if _FROM.match(text):
            # Declared, not exported: they are there for RUN, and no part of the image.
            found += [f"ARG {name}={CA_PATH}" for name in VARIABLES]
    return "\n".join([*found, ""])


def readable(step: str) -> str:
    """Return a step's name as the repository wrote it."""
    return step.replace(f"{MOUNT} ", "")


def _instructions(lines: list[str]) -> Iterator[list[str]]:
    """Yield every instruction with all its lines; comments and blank lines stand alone."""
    escape = _escape(lines)
    rest = iter(lines)
    for line in rest:
        instruction = [line]
        if not line.strip() or line.lstrip().startswith("#"):
            yield instruction
            continue
        while instruction[-1].rstrip().endswith(escape) or _is_inner(instruction):
            following = next(rest, None)
            if following is None:
                break
            instruction.append(following)
        text = " ".join(instruction)
        if _TAKES_HEREDOC.match(text):
            for match in _HEREDOC.finditer(text):
                instruction += _until(rest, match["word"])
        yield instruction


def _is_inner(instruction: list[str]) -> bool:
    """Tell whether the last line is a comment or blank in the middle of a continued instruction."""
    last = instruction[-1].strip()
    return len(instruction) > 1 and (not last or last.startswith("#"))


def _escape(lines: list[str]) -> str:
    for line in lines:
        if match := _ESCAPE.fullmatch(line.strip()):
            return match["character"]
        if not _DIRECTIVE.fullmatch(line.strip()):
            break
    return "\\"


def _until(lines: Iterator[str], word: str) -> list[str]:
    found: list[str] = []
    for line in lines:
        found.append(line)
        if line.strip() == word:
            break
    return found
