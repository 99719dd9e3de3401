"""Which settings a server says it lacks: as servers really say it, and what only looks like it."""

import pytest

from appliance.servers.missing_settings import missing_settings

ZOD_3 = """ZodError: [
  {
    "code": "invalid_type",
    "expected": "string",
    "received": "undefined",
    "path": [
      "NOTION_TOKEN"
    ],
    "message": "Required"
  },
  {
    "code": "invalid_type",
    "expected": "string",
    "received": "undefined",
    "path": [
      "WORKSPACE"
    ],
    "message": "Required"
  }
]
    at get error [as error] (/opt/mcp/server/node_modules/zod/lib/types.js:43:31)"""

ZOD_4 = """ZodError: [
  {
    "expected": "string",
    "code": "invalid_type",
    "path": [
      "LINEAR_API_KEY"
    ],
    "message": "Invalid input: expected string, received undefined"
  }
]"""

ZOD_FORMATTED = """Invalid environment variables:
{
  DATABASE_URL: [ 'Required' ],
  SUPABASE_KEY: [ 'Invalid input: expected string, received undefined' ]
}"""

ENVALID = """================================
 Missing environment variables:
    GITLAB_TOKEN: (no description)
    GITLAB_URL: eg. "https://gitlab.example.org"
================================
 Exiting with error code 1"""

PYDANTIC = """Traceback (most recent call last):
  File "/opt/mcp/server/venv/lib/python3.13/site-packages/thing/server.py", line 12, in <module>
    settings = Settings()
  File "/opt/mcp/server/venv/lib/python3.13/site-packages/pydantic_settings/main.py", line 176, in __init__
    super().__init__(
pydantic_core._pydantic_core.ValidationError: 2 validation errors for Settings
qdrant_url
  Field required [type=missing, input_value={}, input_type=dict]
    For further information visit https://errors.pydantic.dev/2.11/v/missing
QDRANT_API_KEY
  Field required [type=missing, input_value={}, input_type=dict]
    For further information visit https://errors.pydantic.dev/2.11/v/missing"""

KEY_ERROR = """Traceback (most recent call last):
  File "/opt/mcp/server/venv/lib/python3.13/site-packages/weather/server.py", line 9, in <module>
    API_KEY = os.environ["OPENWEATHER_API_KEY"]
              ~~~~~~~~~~^^^^^^^^^^^^^^^^^^^^^^^
  File "<frozen os>", line 717, in __getitem__
KeyError: 'OPENWEATHER_API_KEY'"""

NODE_THROW = """file:///opt/mcp/server/node_modules/tavily-mcp/build/index.js:13
    throw new Error("TAVILY_API_KEY environment variable is required");
          ^

Error: TAVILY_API_KEY environment variable is required
    at file:///opt/mcp/server/node_modules/tavily-mcp/build/index.js:13:11
Node.js v24.19.0"""

BULLETS = """Error: Missing required environment variables:
  - CONFLUENCE_URL
  - CONFLUENCE_TOKEN
See the README for details."""

OPENAI = (
    "openai.OpenAIError: The api_key client option must be set either by passing api_key to the client"
    " or by setting the OPENAI_API_KEY environment variable"
)

SAID = [
    ("AMAP_MAPS_API_KEY environment variable is not set", "AMAP_MAPS_API_KEY"),
    ("AMAP_MAPS_API_KEY is not set", "AMAP_MAPS_API_KEY"),
    (
        "Error: BRAVE_API_KEY environment variable is required",
        "BRAVE_API_KEY",
    ),
    (
        "❌ Missing required environment variable: AFRICASTALKING_API_KEY",
        "AFRICASTALKING_API_KEY",
    ),
    (
        "Error: Missing required environment variable DATABASE_URL",
        "DATABASE_URL",
    ),
    (
        "[env] Missing required environment variables: PAYLOAD_SECRET, DATABASE_URI. Set them in .env.local.",
        "PAYLOAD_SECRET DATABASE_URI",
    ),
    ("Required environment variable MCP_API_TOKEN is not set", "MCP_API_TOKEN"),
    ("ValueError: EXA_API_KEY must be set", "EXA_API_KEY"),
    (
        "RuntimeError: JIRA_URL and JIRA_TOKEN must be set",
        "JIRA_URL JIRA_TOKEN",
    ),
    (
        "Both `SNOWFLAKE_ACCOUNT` and `SNOWFLAKE_USER` environment variables are required.",
        "SNOWFLAKE_ACCOUNT SNOWFLAKE_USER",
    ),
    (
        "Please set SLACK_BOT_TOKEN and SLACK_TEAM_ID environment variables",
        "SLACK_BOT_TOKEN SLACK_TEAM_ID",
    ),
    (
        "Please set the FIGMA_API_KEY environment variable",
        "FIGMA_API_KEY",
    ),
    (
        "Either FIGMA_API_KEY or FIGMA_OAUTH_TOKEN is required (via CLI argument or .env file)",
        "FIGMA_API_KEY FIGMA_OAUTH_TOKEN",
    ),
    ("Missing STRIPE_SECRET_KEY", "STRIPE_SECRET_KEY"),
    ("Error: No HEROKU_API_KEY found in environment", "HEROKU_API_KEY"),
    ("PERPLEXITY_API_KEY not found in environment variables", "PERPLEXITY_API_KEY"),
    (
        "ValueError: Environment variable 'SENTRY_AUTH_TOKEN' is missing",
        "SENTRY_AUTH_TOKEN",
    ),
    ("Error: GITHUB_PERSONAL_ACCESS_TOKEN not set", "GITHUB_PERSONAL_ACCESS_TOKEN"),
    (
        "2026/11/21 11:00:00 ADC_API_KEY environment variable is required",
        "ADC_API_KEY",
    ),
    (
        "APRS_REDIS_HOST environment variable is not set, but is required, exiting",
        "APRS_REDIS_HOST",
    ),
    (
        "thread 'main' panicked at src/main.rs:12: DISCORD_TOKEN must be set: NotPresent",
        "DISCORD_TOKEN",
    ),
    ('required key "NEON_API_KEY" missing value', "NEON_API_KEY"),
    (
        "required key GRAFANA_API_KEY missing value",
        "GRAFANA_API_KEY",
    ),
    (
        'env: required environment variable "AIRTABLE_KEY" is not set',
        "AIRTABLE_KEY",
    ),
    (
        "decouple.UndefinedValueError: SECRET_KEY not found. Declare it as envvar or define a default value.",
        "SECRET_KEY",
    ),
    (
        'environs.EnvError: Environment variable "MY_API_TOKEN" not set',
        "MY_API_TOKEN",
    ),
    ("Error: MISSING ENV: ZENDESK_API_TOKEN is required", "ZENDESK_API_TOKEN"),
    (
        "Configuration error: SHOPIFY_ACCESS_TOKEN is undefined",
        "SHOPIFY_ACCESS_TOKEN",
    ),
    (
        "You must provide the TRELLO_API_KEY and TRELLO_TOKEN_ID environment variables",
        "TRELLO_API_KEY TRELLO_TOKEN_ID",
    ),
    ("GOOGLE_MAPS_API_KEY is empty", "GOOGLE_MAPS_API_KEY"),
    ("Error: $MONGODB_URI is not defined", "MONGODB_URI"),
    ("TIMETABLE_API_KEY is not available", "TIMETABLE_API_KEY"),
    ("TODOIST_API_TOKEN isn't set", "TODOIST_API_TOKEN"),
    ("DEEPL_AUTH_KEY cannot be empty", "DEEPL_AUTH_KEY"),
    ("Set REDIS_CLOUD_URL before starting: it is required", "REDIS_CLOUD_URL"),
    (
        "Error: A Brave API key is required via --brave-api-key, BRAVE_API_KEY, --brave-api-key-file, or BRAVE_API_KEY_FILE.",
        "BRAVE_API_KEY",
    ),
    (OPENAI, "OPENAI_API_KEY"),
    (ZOD_3, "NOTION_TOKEN WORKSPACE"),
    (ZOD_4, "LINEAR_API_KEY"),
    (ZOD_FORMATTED, "DATABASE_URL SUPABASE_KEY"),
    (ENVALID, "GITLAB_TOKEN GITLAB_URL"),
    (PYDANTIC, "QDRANT_URL QDRANT_API_KEY"),
    (KEY_ERROR, "OPENWEATHER_API_KEY"),
    ("KeyError: 'TOKEN'", "TOKEN"),
    (NODE_THROW, "TAVILY_API_KEY"),
    (BULLETS, "CONFLUENCE_URL CONFLUENCE_TOKEN"),
]


@pytest.mark.parametrize(
    ("printed", "names"), SAID, ids=[item[0][:60] for item in SAID]
)
def test_what_a_server_lacks_is_named(printed: str, names: str) -> None:
    assert missing_settings(printed.splitlines()) == tuple(names.split())


OWN_MODEL = """pydantic_core._pydantic_core.ValidationError: 1 validation error for CallToolResult
content
  Field required [type=missing, input_value={}, input_type=dict]"""

SILENT = [
    "",
    "Secure MCP Filesystem Server running on stdio",
    "Usage: mcp-server-filesystem [allowed-directory]",
    "AttributeError: 'Server' object has no attribute 'list_resources'",
    "ModuleNotFoundError: No module named 'mcp.server.fastmcp'",
    "ImportError: cannot import name 'METHOD_NOT_FOUND' from 'mcp.types'",
    "NameError: name 'DEFAULT_TIMEOUT' is not defined",
    "ReferenceError: MAX_RETRIES is not defined",
    "AttributeError: module 'mcp.types' has no attribute 'INVALID_PARAMS'",
    "Error [ERR_MODULE_NOT_FOUND]: Cannot find module '/opt/mcp/server/x.js'",
    "Error [ERR_PACKAGE_PATH_NOT_EXPORTED]: Package subpath './dist' is not defined by \"exports\"",
    "code: 'MODULE_NOT_FOUND', requireStack: []",
    "SSL_CERT_FILE not found: /etc/ssl/certs/x.pem; using the bundled one",
    "LOG_LEVEL not set, using default INFO",
    "WARNING: GITHUB_TOKEN is not set; requests are rate limited",
    "OPENAI_API_KEY is not set. Semantic search will be disabled.",
    "MCP_CACHE_DIR is optional and was not provided",
    "No ALLOWED_HOSTS configured, falling back to localhost",
    "KeyError: 'name'",
    "KeyError: 'Content'",
    "KeyError: 3",
    "TypeError: Server.__init__() missing 1 required positional argument: 'name'",
    "Error: connect ECONNREFUSED 127.0.0.1:5432",
    "sqlite3.OperationalError: no such table: USER_DATA",
    "psycopg2.errors.UndefinedTable: relation MY_TABLE does not exist",
    "SyntaxError: The requested module './x.js' does not provide an export named 'CALL_TOOL'",
    "FileNotFoundError: [Errno 2] No such file or directory: '/data/MY_FILE.json'",
    "usage: server [-h] --api-key API_KEY\nserver: error: the following arguments are required: --api-key",
    "zsh: command not found: UV_TOOL",
    OWN_MODEL,
    "Loaded API_KEY from environment",
    "HTTP_PROXY=http://proxy:3128 NO_PROXY=localhost",
    "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
    "/lib/x86_64-linux-gnu/libc.so.6: version GLIBC_2_38 not found (required by ./server)",
]


@pytest.mark.parametrize(
    "printed", SILENT, ids=[item[:60] or "nothing" for item in SILENT]
)
def test_what_only_looks_like_it_names_nothing(printed: str) -> None:
    assert missing_settings(printed.splitlines()) == ()


def test_a_long_list_is_no_form() -> None:
    lines = [f"SETTING_NUMBER_{letter}X is not set" for letter in "ABCDEFGHIJKLMN"]

    assert missing_settings(lines) == ()


def test_a_strange_line_takes_no_long_time() -> None:
    line = "missing " + "A_" * 20_000 + " " + "AB_CD, " * 5_000

    missing_settings([line])
