"""docs/configuration.md is what the settings say."""

from pathlib import Path

from appliance.settings import Settings
from appliance.settings_docs import configuration_markdown

PAGE = Path(__file__).parent.parent.parent / "docs" / "configuration.md"


def test_the_page_is_what_the_settings_say_today() -> None:
    """To mend: ``mcp-host docs-configuration > docs/configuration.md``."""
    assert PAGE.read_text() == configuration_markdown()


def test_every_setting_is_documented() -> None:
    undocumented = [
        name for name, field in Settings.model_fields.items() if not field.description
    ]

    assert undocumented == []
