"""The JSON Schema of site.toml, for editors that complete and check while one types.

Write it anew after a change of the settings: python -m gateway.site.schema > config/site.schema.json
"""

from __future__ import annotations

import json
import sys
from typing import Any

from gateway.site import units
from gateway.site.settings import Settings


def schema_text() -> str:
    """The schema as it stands in config/site.schema.json."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Settings.model_json_schema()}
    schema["description"] = "site.toml of wattledger"
    return json.dumps(_as_toml_has_it(schema), indent=1, ensure_ascii=False) + "\n"


def _as_toml_has_it(node: Any) -> Any:
    """TOML has no null, and a duration's default is text with its unit."""
    if isinstance(node, list):
        return [_as_toml_has_it(item) for item in node]
    if not isinstance(node, dict):
        return node
    choices = [item for item in node.get("anyOf", ()) if item != {"type": "null"}]
    if len(choices) == 1:
        node = {**{key: value for key, value in node.items() if key != "anyOf"}, **choices[0]}
    if node.get("pattern") == units.DURATION and isinstance(node.get("default"), int):
        node = {**node, "default": units.duration_text(node["default"])}
    return {
        key: _as_toml_has_it(value) for key, value in node.items() if not _left_out(key, value)
    }


def _left_out(key: str, value: Any) -> bool:
    """Titles repeat the key; None and whole tables are no defaults that one could write."""
    return (key == "default" and (value is None or isinstance(value, dict))) or (
        key == "title" and isinstance(value, str)
    )


if __name__ == "__main__":
    sys.stdout.write(schema_text())
