"""A server of shell and busybox that does what a file in its volume says: ``/data/mood`` holds one word.

``well``; ``refuse``: every call ends in a JSON-RPC error; ``fail``: in a tool's own; ``hang``: what is asked is read and never
answered; ``babble``: what it answers is not MCP; ``die``: it ends when it is asked, or 3 s after its start. It speaks stdio,
or, as a CGI program, HTTP.
"""

import subprocess
import tempfile
from pathlib import Path

from tests.harness.busybox import busybox

#: What it says when it refuses; a proof looks for it.
REFUSAL = "the moon is in the wrong house"
_ANSWER = r"""
hello='{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"moody","version":"1"}}'
tools='{"tools":[{"name":"mood","inputSchema":{"type":"object"}}]}'
refusal='{"code":-32603,"message":"REFUSAL"}'
failure='{"content":[{"type":"text","text":"REFUSAL"}],"isError":true}'
mood() { cat /data/mood 2>/dev/null || echo well; }
answer() {
  id=$(printf '%s' "$1" | sed -n 's/.*"id": *\([0-9]\+\|"[^"]*"\).*/\1/p')
  [ -n "$id" ] || return 0
  now=$(mood)
  case "$now" in
    hang) sleep 1000000 ;;
    babble) echo 'It is a fine day, is it not?'; return 0 ;;
    die) exit 3 ;;
  esac
  case "$1" in
    *'"initialize"'*) answer="\"result\":$hello" ;;
    *'"tools/list"'*) answer="\"result\":$tools" ;;
    *'"tools/call"'*)
      case "$now" in
        refuse) answer="\"error\":$refusal" ;;
        fail) answer="\"result\":$failure" ;;
        *) answer='"result":{"content":[{"type":"text","text":"well"}]}' ;;
      esac ;;
    *) answer='"error":{"code":-32601,"message":"no such method"}' ;;
  esac
  printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$id" "$answer"
}
""".replace("REFUSAL", REFUSAL)
_STDIO = f"""#!/bin/sh
{_ANSWER}
if [ "$(mood)" = die ]; then
  echo 'fatal: in no mood' >&2
  (sleep 3; kill $$) &
fi
while read -r line; do answer "$line"; done
"""
_CGI = f"""#!/bin/sh
{_ANSWER}
if [ "$REQUEST_METHOD" != POST ]; then
  printf 'Status: 405 Method Not Allowed\\r\\n\\r\\n'
  exit 0
fi
line=$(head -c "$CONTENT_LENGTH" | tr -d '\\n')
said=$(answer "$line")
case "$line" in
  *'"id"'*) ;;
  *) printf 'Status: 202 Accepted\\r\\n\\r\\n'; exit 0 ;;
esac
if [ "$(mood)" = babble ]; then
  printf 'Content-Type: text/html\\r\\n\\r\\n<p>%s</p>\\n' "$said"
else
  printf 'Content-Type: application/json\\r\\n\\r\\n%s\\n' "$said"
fi
"""
_DOCKERFILE = """\
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "/bin"]
COPY stdio.sh /stdio.sh
COPY cgi.sh /www/cgi-bin/mcp
ENV MODE=stdio
CMD ["/bin/sh", "-c", "if [ $MODE = http ]; then exec httpd -f -p 8000 -h /www; else exec /stdio.sh; fi"]
"""
PORT, PATH = 8000, "/cgi-bin/mcp"


def build(tag: str) -> None:
    """Build the image; blocking."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "Dockerfile").write_text(_DOCKERFILE)
        (root / "busybox").write_bytes(busybox("linux/amd64").read_bytes())
        (root / "stdio.sh").write_text(_STDIO)
        (root / "cgi.sh").write_text(_CGI)
        for name in ("busybox", "stdio.sh", "cgi.sh"):
            (root / name).chmod(0o755)
        subprocess.run(
            ["docker", "build", "-q", "-t", tag, "."],
            cwd=root,
            check=True,
            capture_output=True,
        )
