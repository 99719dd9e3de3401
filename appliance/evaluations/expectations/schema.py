"""The answer is as a JSON schema (2020-12) says. Pure; nothing is fetched."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from appliance.core.errors import InvalidError
from appliance.evaluations.expectations.answer import (
    STRUCTURED,
    Answer,
    Verdict,
    part_of,
    shown,
)

WORD = "schema"
#: Depth of a schema that is looked at; deeper ones are refused.
MAX_DEPTH = 40
_REFERENCES = frozenset({"$ref", "$dynamicRef"})


def check(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema and the part that it is about."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - heavy, and seldom used
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415

    schema = settings.get("schema")
    if not isinstance(schema, dict | bool):
        raise InvalidError.field("expectation.schema", "must be a JSON schema")
    _refuse_remote(schema, 0)
    _refuse_patterns(schema)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise InvalidError.field(
            "expectation.schema", f"is no JSON schema of 2020-12: {error.message[:300]}"
        ) from error
    return {"schema": schema, "on": part_of(settings, STRUCTURED)}


def judge(settings: Mapping[str, Any], answer: Answer) -> Verdict:
    """Return whether the part is valid, and the first thing that is not."""
    from jsonschema.exceptions import best_match  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415
    from referencing.exceptions import Unresolvable  # noqa: PLC0415

    # An empty registry: what the schema does not hold itself is nowhere.
    validator = _validator()(settings["schema"], registry=Registry())
    try:
        problem = best_match(validator.iter_errors(answer.part(settings["on"])))
    except (Unresolvable, RecursionError) as error:
        return Verdict(0.0, f"The schema cannot be followed: {shown(str(error))}")
    if problem is None:
        return Verdict(1.0)
    return Verdict(0.0, f"At {problem.json_path}: {shown(problem.message, 400)}")


@cache
def _validator() -> Any:
    """Return the validator, with patterns of RE2: somebody else's pattern must not be able to take for ever."""
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415

    return validators.extend(
        Draft202012Validator,
        {"pattern": _pattern, "patternProperties": _pattern_properties},
    )


def _pattern(
    _validator: Any, pattern: str, instance: Any, _schema: Any
) -> Iterator[Any]:
    import re2  # noqa: PLC0415
    from jsonschema import ValidationError  # noqa: PLC0415

    if isinstance(instance, str) and not re2.search(pattern, instance):
        yield ValidationError(f"{shown(instance)!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], instance: Any, _schema: Any
) -> Iterator[Any]:
    import re2  # noqa: PLC0415

    if not isinstance(instance, dict):
        return
    for pattern, schema in patterns.items():
        for name, value in instance.items():
            if re2.search(pattern, name):
                yield from validator.descend(
                    value, schema, path=name, schema_path=pattern
                )


def _refuse_remote(schema: Any, depth: int) -> None:
    """Refuse references to anywhere but the schema itself, and depths that nobody writes."""
    if depth > MAX_DEPTH:
        raise InvalidError.field(
            "expectation.schema", f"must not be deeper than {MAX_DEPTH}"
        )
    if isinstance(schema, dict):
        for name, value in schema.items():
            is_reference = name in _REFERENCES and isinstance(value, str)
            if is_reference and not value.startswith("#"):
                raise InvalidError.field(
                    "expectation.schema",
                    f"refers to {value[:100]}; only references within it (#…) are followed",
                )
            _refuse_remote(value, depth + 1)
    elif isinstance(schema, list):
        for value in schema:
            _refuse_remote(value, depth + 1)


def _refuse_patterns(schema: Any) -> None:
    """Refuse patterns that RE2 does not take."""
    import re2  # noqa: PLC0415

    if isinstance(schema, list):
        for value in schema:
            _refuse_patterns(value)
    if not isinstance(schema, dict):
        return
    named = schema.get("patternProperties")
    patterns = [schema.get("pattern"), *(named if isinstance(named, dict) else ())]
    for pattern in patterns:
        try:
            _ = re2.compile(pattern) if isinstance(pattern, str) else None
        except re2.error as error:
            raise InvalidError.field(
                "expectation.schema",
                f"holds a pattern that RE2 does not take: {shown(pattern)}",
            ) from error
    for value in schema.values():
        _refuse_patterns(value)
