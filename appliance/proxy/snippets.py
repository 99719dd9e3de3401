"""Words of Nginx's language that are the same in every configuration. Pure."""

from typing import Final

#: A read may be silent for so long: streams have no end, and what ends a call is GW_TIMEOUT, or the server's own limit.
STREAM_S: Final = 86400
#: Idle connections of clients, and what a drained reload waits for at most.
KEEPALIVE_S: Final = 65
#: As ``core.front_door`` reads it; in quotation marks, because of the braces.
LABEL: Final = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
#: The last label of a name is no number, else it is an address.
HOST_END: Final = rf"\.(?![0-9]+\z){LABEL}\z"
#: What the gateway answers under the hub's own names.
GATEWAY_PATHS: Final = (
    r"^/(?:(?:servers|bundles)/[a-z0-9-]{1,63}/(?:mcp|sse|messages)(?:/|\z)"
    r"|\.well-known/oauth-protected-resource(?:/|\z)"
    r"|\.well-known/(?:oauth-authorization-server|openid-configuration)/(?:servers|bundles)/)"
)

HEAD: Final = """\
# Rendered by mcp-host from the settings and the certificates; changes here are lost.
daemon off;
# Not of every failed request: those lines hold addresses with their queries, and with them perhaps secrets. Below is a log.
error_log stderr crit;
worker_processes auto;
"""

HTTP: Final = """\
log_format front escape=json '{"event":"front_door.request","level":"info","logger":"nginx","timestamp":"$time_iso8601",'
  '"method":"$request_method","host":"$host","path":"$front_path","status":"$status","duration_s":"$request_time",'
  '"address":"$remote_addr","request_id":"$request_id","asked":"$upstream_addr"}';
access_log /dev/stdout front if=$front_is_told;
default_type application/octet-stream;
server_tokens off;
server_names_hash_bucket_size 256;
map_hash_bucket_size 512;
map_hash_max_size 65536;
variables_hash_bucket_size 128;
tcp_nodelay on;
keepalive_timeout 65s;
keepalive_requests 100000;
client_header_timeout 20s;
client_body_timeout 60s;
send_timeout 60s;
client_body_buffer_size 64k;
client_header_buffer_size 4k;
large_client_header_buffers 4 64k;
http2_max_concurrent_streams 512;
open_file_cache max=1024 inactive=60s;
open_file_cache_valid 1s;
open_file_cache_errors on;
open_file_cache_min_uses 1;
limit_req_status 429;
limit_conn_status 429;
limit_req_log_level notice;
limit_conn_log_level notice;

ssl_protocols TLSv1.2 TLSv1.3;
ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:\
ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305;
ssl_prefer_server_ciphers off;
ssl_session_cache shared:front:16m;
ssl_session_timeout 1d;
ssl_session_tickets off;
ssl_early_data off;

proxy_http_version 1.1;
proxy_buffering off;
proxy_request_buffering off;
proxy_connect_timeout 5s;
proxy_send_timeout 300s;
proxy_socket_keepalive on;
proxy_next_upstream error timeout;
proxy_next_upstream_tries 2;
# Hosted servers must not move Nginx by what they answer.
proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset;
proxy_hide_header Strict-Transport-Security;
proxy_hide_header X-Request-ID;
# The first line, because that is where the gateway takes it out of heads that it knows.
proxy_set_header X-Request-ID $request_id;
proxy_set_header Host $host$front_port;
proxy_set_header Connection "";
proxy_set_header X-Forwarded-For $remote_addr;
proxy_set_header X-Forwarded-Proto $scheme;
proxy_set_header X-Forwarded-Host $host$front_port;
proxy_set_header Forwarded "";
proxy_set_header X-Real-IP "";
proxy_set_header Upgrade "";

map $request_uri $front_path { default ""; "~^([^?]*)" $1; }
# Of IPv6 the network counts: whoever has one address there has 2^64 of them.
map $binary_remote_addr $front_address { default $binary_remote_addr; "~(?s)\\A(.{8}).{8}\\z" $1; }
map $http_host $front_port { default ""; "~(:[0-9]{1,5})\\z" $1; }
map $http_accept $front_form { default problem; "~*text/html" page; }
map $uri $front_is_api {
  default "";
  "~^/(?:api|oauth|v0\\.1|\\.well-known)/" 1;
  "~^/(?:servers|bundles)/[^/]+/(?:mcp|sse|messages)" 1;
  "~^/mcp/?\\z" 1;
}
map $front_is_api$front_form $front_as { default problem; page page; }
# What hub and gateway answered is in their own logs and traces.
map $upstream_status $front_is_ours { default 0; "" 1; "~50[24]" 1; }
map $front_is_ours$status $front_is_told { default 0; "~^1[45]" 1; }
map $front_leaving$server_protocol $front_connection { default ""; "leaving HTTP/1.1" close; "leaving HTTP/1.0" close; }
"""


def block(name: str, body: str) -> str:
    """Return a block with what belongs into it."""
    lines = "\n".join(f"  {line}" if line else "" for line in body.splitlines())
    return f"{name} {{\n{lines}\n}}\n"


def quoted(text: str) -> str:
    """Return a word that may hold anything; ``$`` still begins a variable."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    return f'"{escaped}"'
