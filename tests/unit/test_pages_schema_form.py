"""Forms made of tools' schemas, and arguments read back from them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.errors import InvalidError
from appliance.web.schema_form import Field, fields_of, read_arguments


def schema(required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required or []}


def only(spec: dict[str, Any]) -> Field:
    (field,) = fields_of(schema(x=spec))
    return field


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ({"type": "string"}, "text"),
        ({"type": "string", "default": "a\nb"}, "long"),
        ({"type": "integer"}, "integer"),
        ({"type": "number"}, "number"),
        ({"type": "boolean"}, "boolean"),
        ({"enum": ["a", 1, None]}, "choice"),
        ({"const": "a"}, "choice"),
        ({"type": "array", "items": {"type": "string"}}, "lines"),
        ({"type": "array", "items": {"type": "object"}}, "json"),
        ({"type": "array"}, "json"),
        ({"type": "object"}, "json"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer"),
        ({"type": ["string", "null"]}, "text"),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "json"),
        ({}, "json"),
    ],
)
def test_every_schema_gets_a_control_that_can_carry_its_values(
    spec: dict[str, Any], kind: str
) -> None:
    assert only(spec).kind == kind


def test_a_text_that_is_usually_prose_gets_room() -> None:
    (field,) = fields_of(schema(content={"type": "string"}))

    assert field.kind == "long"


def test_a_local_reference_is_followed() -> None:
    whole = {
        "properties": {"x": {"$ref": "#/$defs/Size"}},
        "$defs": {"Size": {"type": "integer", "minimum": 1}},
    }

    (field,) = fields_of(whole)

    assert (field.kind, field.limits) == ("integer", (("min", "1"),))


def test_a_reference_to_itself_ends() -> None:
    (field,) = fields_of({"properties": {"x": {"$ref": "#/properties/x"}}})

    assert field.kind == "json"


def test_required_arguments_come_first() -> None:
    names = [
        field.name
        for field in fields_of(
            schema(["b"], a={"type": "string"}, b={"type": "string"})
        )
    ]

    assert names == ["b", "a"]


def test_defaults_are_shown() -> None:
    assert only({"type": "integer", "default": 0}).default == "0"
    assert only({"type": "boolean", "default": False}).default == "false"
    assert (
        only(
            {"type": "array", "items": {"type": "string"}, "default": ["a", "b"]}
        ).default
        == "a\nb"
    )


def test_what_was_typed_becomes_values_of_the_schemas_types() -> None:
    whole = schema(
        text={"type": "string"},
        count={"type": "integer"},
        share={"type": "number"},
        flag={"type": "boolean"},
        level={"enum": [1, "two"]},
        names={"type": "array", "items": {"type": "string"}},
        sizes={"type": "array", "items": {"type": "integer"}},
        options={"type": "object"},
    )
    form = {
        "a.text": " as typed ",
        "a.count": "3",
        "a.share": "0.5",
        "a.flag": "false",
        "a.level": "1",
        "a.names": "x\n\n y ",
        "a.sizes": "1\n2",
        "a.options": '{"deep": [1]}',
    }

    assert read_arguments(whole, form) == {
        "text": " as typed ",
        "count": 3,
        "share": 0.5,
        "flag": False,
        "level": 1,
        "names": ["x", "y"],
        "sizes": [1, 2],
        "options": {"deep": [1]},
    }


def test_what_was_left_empty_is_left_out() -> None:
    assert read_arguments(schema(x={"type": "string"}), {"a.x": ""}) == {}


def test_every_unreadable_argument_is_named_at_once() -> None:
    whole = schema(
        ["need"],
        need={"type": "string"},
        count={"type": "integer"},
        options={"type": "object"},
    )

    with pytest.raises(InvalidError) as caught:
        read_arguments(whole, {"a.count": "many", "a.options": "{"})

    assert set(caught.value.fields) == {"need", "count", "options"}


@pytest.mark.parametrize("raw", ["nan", "inf", "1e999"])
def test_a_number_that_json_cannot_carry_is_refused(raw: str) -> None:
    with pytest.raises(InvalidError):
        read_arguments(schema(x={"type": "number"}), {"a.x": raw})


def test_json_nested_beyond_reason_is_refused() -> None:
    with pytest.raises(InvalidError):
        read_arguments(schema(x={"type": "object"}), {"a.x": "[" * 100_000})


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
specs = st.dictionaries(
    st.sampled_from(
        [
            "type",
            "enum",
            "const",
            "items",
            "default",
            "anyOf",
            "oneOf",
            "$ref",
            "minimum",
            "maxLength",
            "description",
        ]
    ),
    json_values
    | st.sampled_from(["string", "integer", "array", "#/properties/a", "#/$defs/x"]),
)


@given(
    properties=st.dictionaries(st.text(max_size=5), specs | json_values, max_size=4),
    required=json_values,
)
def test_a_form_comes_out_whatever_a_server_says(
    properties: dict[str, Any], required: Any
) -> None:
    whole = {"properties": properties, "required": required}

    fields = fields_of(whole)

    assert {field.name for field in fields} == set(properties)


@given(
    properties=st.dictionaries(st.text(max_size=5), specs | json_values, max_size=4),
    raw=st.text(max_size=12),
)
def test_reading_refuses_or_returns_whatever_was_typed(
    properties: dict[str, Any], raw: str
) -> None:
    whole = {"properties": properties}

    try:
        named = set(read_arguments(whole, {f"a.{name}": raw for name in properties}))
    except InvalidError as error:
        named = set(error.fields)

    assert named <= set(properties)
