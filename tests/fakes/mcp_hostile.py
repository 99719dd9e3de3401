"""A stdio MCP server that tries to get out of its container, one trick a tool. Runs in a container's bare Python.

A trick that leads somewhere answers with where; one that is refused is an error that names the refusal.
"""

import contextlib
import ctypes
import errno
import json
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

LIBC = ctypes.CDLL(None, use_errno=True)
MIB = 1024 * 1024
CLONE_NEWUSER, CLONE_NEWNS = 0x10000000, 0x20000
PTRACE_ATTACH = 16
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN = 47, 2, 21
PR_GET_NO_NEW_PRIVS = 39
AF_VSOCK, AF_ALG, AF_PACKET = 40, 38, 17
#: By machine: what the C library has no function for.
CALLS = {
    "x86_64": {
        "bpf": 321,
        "keyctl": 250,
        "perf_event_open": 298,
        "io_uring_setup": 425,
        "init_module": 175,
        "open_by_handle_at": 304,
        "userfaultfd": 323,
        "process_vm_readv": 310,
        "reboot": 169,
        "kexec_load": 246,
    },
    "aarch64": {
        "bpf": 280,
        "keyctl": 219,
        "perf_event_open": 241,
        "io_uring_setup": 425,
        "init_module": 105,
        "open_by_handle_at": 265,
        "userfaultfd": 282,
        "process_vm_readv": 270,
        "reboot": 142,
        "kexec_load": 104,
    },
}


class RefusedError(Exception):
    """The trick did not work; the text says how it was refused."""


def code(number: int) -> str:
    return errno.errorcode.get(number, str(number))


def checked(result: int, what: str) -> None:
    """Refuse when the C library says so."""
    if result < 0:
        raise RefusedError(f"{what}: {code(ctypes.get_errno())}")


def each_of(names: Iterable[str], trick: Callable[[str], object]) -> str:
    """Try a trick on all; one that leads somewhere is enough."""
    return each({name: partial(trick, name) for name in names})


def each(tricks: Mapping[str, Callable[[], object]]) -> str:
    """Try all; one that leads somewhere is enough."""
    refusals = []
    for name, trick in tricks.items():
        try:
            found = trick()
        except RefusedError as error:
            refusals.append(str(error))
        except OSError as error:
            refusals.append(f"{name}: {code(error.errno or 0)}")
        else:
            if found is not None:
                return f"{name}: {found}"
            refusals.append(f"{name}: nothing there")
    raise RefusedError("; ".join(refusals))


# -- the file system


def write_root(_: Any) -> str:
    """Leave something where programs lie."""
    places = ("/pwned", "/etc/pwned", "/usr/bin/pwned", "/var/pwned", "/root/pwned")
    return each_of(places, lambda place: Path(place).write_text("pwned"))


def remount_root(_: Any) -> str:
    checked(LIBC.mount(b"none", b"/", b"", 32, None), "remount")
    return "remounted"


def mount(_: Any) -> str:
    def one(kind: str) -> str:
        result = LIBC.mount(b"none", b"/tmp", kind.encode(), 0, None)
        checked(result, f"mount {kind}")
        return "mounted"

    return each_of(("tmpfs", "proc", "overlay", "cgroup", "debugfs"), one)


def read_host(params: Any) -> str:
    """Read a file of the box, whose path the caller gives, on every way to it."""
    path = params["arguments"]["path"]
    roots = ("", "/proc/1/root", "/proc/self/root", "/host", "/rootfs", "/mnt")
    ways: dict[str, Callable[[], object]] = {
        f"{root}{path}": partial(Path(root + path).read_text) for root in roots
    }
    ways |= {
        "a device": partial(make_device, "/tmp/disk", 254),
        "a loop device": partial(make_device, "/tmp/loop", 7),
        "/dev/vda": partial(start_of, "/dev/vda"),
        "memory": partial(start_of, "/dev/mem"),
        "a handle": partial(call, "open_by_handle_at", -100, 0, 0),
    }
    return each(ways)


def start_of(path: str) -> str | None:
    with Path(path).open("rb", buffering=0) as file:
        return f"{len(file.read(4096))} bytes" if file.read(1) else None


def make_device(path: str, major: int) -> str | None:
    """Make a device of the box and read it."""
    os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(major, 0))
    try:
        return start_of(path)
    finally:
        Path(path).unlink()


def kernel_settings(_: Any) -> str:
    """Change how the kernel behaves for everybody."""
    writes = {
        "/proc/sys/kernel/core_pattern": "|/tmp/x",
        "/proc/sys/kernel/hostname": "pwned",
        "/proc/sys/vm/overcommit_memory": "1",
        "/proc/sys/net/ipv4/ip_forward": "1",
        "/proc/sysrq-trigger": "h",
        "/sys/kernel/uevent_helper": "/tmp/x",
        "/sys/fs/cgroup/memory/release_agent": "/tmp/x",
        "/sys/fs/cgroup/pids/pids.max": "max",
        "/sys/fs/cgroup/pids.max": "max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": "-1",
        "/sys/fs/cgroup/memory.max": "max",
    }
    return each_of(writes, lambda path: Path(path).write_text(writes[path]))


def kernel_memory(_: Any) -> str:
    paths = ("/proc/kcore", "/proc/kmsg", "/dev/kmsg", "/proc/keys", "/sys/firmware/x")
    return each_of(paths, start_of)


# -- who one is


def become_root(_: Any) -> str:
    ways: dict[str, Callable[[], object]] = {
        "setuid": partial(os.setuid, 0),
        "setgid": partial(os.setgid, 0),
        "setgroups": partial(os.setgroups, [0]),
    }

    def done(name: str) -> str | None:
        ways[name]()
        return "root" if 0 in {os.getuid(), os.getgid()} else None

    return each_of(ways, done)


def setuid_program(_: Any) -> str:
    """Run a program that would make root of whoever runs it."""
    for program in ("/usr/bin/su", "/bin/mount", "/usr/bin/passwd", "/usr/bin/newgrp"):
        if Path(program).exists() and Path(program).stat().st_mode & stat.S_ISUID:
            if LIBC.prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1:
                raise RefusedError(f"{program}: no new privileges")
            return f"{program} makes root"
    raise RefusedError("no such program")


def gain_capability(_: Any) -> str:
    status = dict(
        line.split(":\t", 1)
        for line in Path("/proc/self/status").read_text().splitlines()
        if ":\t" in line
    )
    has = {
        name: status.get(name, "0") for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")
    }
    if any(int(value, 16) for value in has.values()):
        return json.dumps(has)
    checked(
        LIBC.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0), "ambient"
    )
    return "raised"


def user_namespace(_: Any) -> str:
    kinds = {"user": CLONE_NEWUSER, "user and mount": CLONE_NEWUSER | CLONE_NEWNS}

    def one(name: str) -> str:
        checked(LIBC.unshare(kinds[name]), name)
        return "mine"

    return each_of(kinds, one)


# -- other processes and the kernel


def ptrace(_: Any) -> str:
    """Trace another process: the first of the container, a child, and with it any of the box."""
    child = os.fork()
    if not child:
        time.sleep(5)
        os._exit(0)

    def one(pid: int, name: str) -> str:
        checked(LIBC.ptrace(PTRACE_ATTACH, pid, 0, 0), name)
        return "traced"

    try:
        return each(
            {
                "child": partial(one, child, "child"),
                "first": partial(one, 1, "first"),
                "memory": partial(call, "process_vm_readv", child),
                "/proc/1/mem": partial(start_of, "/proc/1/mem"),
            }
        )
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def see_host_processes(_: Any) -> str:
    """Find a process that is not of this container."""
    comms = {
        path.read_text().strip()
        for path in Path("/proc").glob("[0-9]*/comm")
        if path.exists()
    }
    if comms & {"dockerd", "containerd", "supervisord", "postgres", "systemd"}:
        return ", ".join(sorted(comms))
    raise RefusedError(f"only {', '.join(sorted(comms))}")


def call(name: str, *arguments: int) -> str:
    number = CALLS[os.uname().machine][name]
    checked(LIBC.syscall(number, *arguments, 0, 0, 0), name)
    return "answered"


def forbidden_calls(_: Any) -> str:
    silent = {"open_by_handle_at", "process_vm_readv"}  # tried elsewhere
    return each_of(set(CALLS[os.uname().machine]) - silent, call)


def odd_sockets(_: Any) -> str:
    kinds = {
        "vsock": (AF_VSOCK, socket.SOCK_STREAM),
        "alg": (AF_ALG, socket.SOCK_SEQPACKET),
        "packet": (AF_PACKET, socket.SOCK_RAW),
        "raw": (socket.AF_INET, socket.SOCK_RAW),
    }

    def one(name: str) -> str:
        socket.socket(*kinds[name]).close()
        return "opened"

    return each_of(kinds, one)


def engine_socket(_: Any) -> str:
    def one(path: str) -> str:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.sendall(b"GET /version HTTP/1.0\r\n\r\n")
            return client.recv(100).decode()

    places = (
        "/var/run/docker.sock",
        "/run/docker.sock",
        "/run/containerd/containerd.sock",
        "/var/run/docker/containerd/containerd.sock",
    )
    return each_of(places, one)


# -- using up the box


def fork_bomb(_: Any) -> str:
    """Start processes until that is refused."""
    children: list[int] = []
    try:
        while len(children) < 5000:
            child = os.fork()
            if not child:
                time.sleep(20)
                os._exit(0)
            children.append(child)
    except OSError as error:
        raise RefusedError(
            f"after {len(children)}: {code(error.errno or 0)}"
        ) from error
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return f"{len(children)} processes"


def filled(path: str, most: int) -> str:
    written = 0
    try:
        with Path(path).open("ab", buffering=0) as file:
            while written < most:
                written += file.write(bytes(MIB))
    except OSError as error:
        raise RefusedError(
            f"{path}: {code(error.errno or 0)} after {written} bytes"
        ) from error
    return f"{written} bytes in {path}"


def fill_disk(params: Any) -> str:
    """Write more into /data than may lie there; what was written stays."""
    return filled("/data/fill", int(params["arguments"]["bytes"]))


def claim_disk(params: Any) -> str:
    """Take room without writing, which takes no time at all."""
    with Path("/data/claim").open("wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, int(params["arguments"]["bytes"]))
        except OSError as error:
            raise RefusedError(code(error.errno or 0)) from error
    return "claimed"


def clean_disk(_: Any) -> str:
    for name in ("fill", "claim"):
        Path("/data", name).unlink(missing_ok=True)
    return "cleaned"


def fill_memory_disks(_: Any) -> str:
    refused = []
    for path in ("/tmp/fill", "/dev/shm/fill"):
        try:
            return filled(path, 1024 * MIB)
        except RefusedError as error:
            refused.append(str(error))
        finally:
            Path(path).unlink(missing_ok=True)
    raise RefusedError("; ".join(refused))


def exhaust_memory(params: Any) -> str:
    """Take memory in a process of its own until it is killed."""
    child = os.fork()
    if not child:
        kept = [b"x" * MIB for _ in range(int(params["arguments"]["mib"]))]
        os._exit(len(kept) < 0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        raise RefusedError(f"killed by signal {os.WTERMSIG(status)}")
    if os.WEXITSTATUS(status):
        raise RefusedError(f"ended with {os.WEXITSTATUS(status)}")
    return "had it all"


def exhaust_files(_: Any) -> str:
    kept: list[int] = []
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (1_000_000, 1_000_000))
    try:
        while len(kept) < 100_000:
            kept.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        raise RefusedError(f"after {len(kept)}: {code(error.errno or 0)}") from error
    finally:
        for item in kept:
            os.close(item)
    return f"{len(kept)} files"


# -- not a trick: what other suites try from inside goes through this


def run(params: Any) -> str:
    """Run a program and return what it printed."""
    done = subprocess.run(
        params["arguments"]["argv"], capture_output=True, text=True, check=False
    )
    return done.stdout or done.stderr


TRICKS = (
    write_root,
    remount_root,
    mount,
    read_host,
    kernel_settings,
    kernel_memory,
    become_root,
    setuid_program,
    gain_capability,
    user_namespace,
    ptrace,
    see_host_processes,
    forbidden_calls,
    odd_sockets,
    engine_socket,
    fork_bomb,
    fill_disk,
    claim_disk,
    fill_memory_disks,
    exhaust_memory,
    exhaust_files,
)
TOOLS: dict[str, Callable[[Any], str]] = {
    tool.__name__: tool for tool in (*TRICKS, clean_disk, run)
}


def call_tool(params: Any) -> Any:
    params.setdefault("arguments", {})
    try:
        text, is_error = TOOLS[params["name"]](params), False
    except RefusedError as error:
        text, is_error = f"refused: {error}", True
    except OSError as error:
        text, is_error = f"refused: {code(error.errno or 0)}", True
    return {"content": [{"type": "text", "text": text}], "isError": is_error}


def answer(method: str, params: Any) -> Any:
    schema = {"type": "object", "properties": {}}
    match method:
        case "initialize":
            return {
                "protocolVersion": params["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "hostile", "version": "1"},
            }
        case "tools/list":
            return {
                "tools": [
                    {"name": name, "description": name, "inputSchema": schema}
                    for name in TOOLS
                ]
            }
        case "tools/call":
            return call_tool(params)
        case _:
            return {}


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message or "method" not in message:
            continue
        result = answer(message["method"], message.get("params") or {})
        said = {"jsonrpc": "2.0", "id": message["id"], "result": result}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
