"""The tables of docs/reference/pipeline-file.md and suite-configuration.md, from their JSON Schemas. `reference.py` writes them."""

import json

from documents import ROOT
from events_table import table, wrapped

KINDS = ("pipeline-file", "suite-configuration")


def schema(kind):
    """The JSON Schema of a kind of file."""
    return json.loads((ROOT / "docs" / "reference" / f"{kind}.schema.json").read_text())


def name_of(reference):
    return reference.removeprefix("#/$defs/")


def values(words):
    return " or ".join(dict.fromkeys(f"`{word}`" if isinstance(word, str) else f"`{json.dumps(word)}`" for word in words))


def bounds(least, most):
    """How many there may be."""
    if least and most:
        return f" of {least} to {most}"
    return f" of at least {least}" if least else f" of at most {most}" if most else ""


def type_of(schema, definitions):
    """A value's type in a few words."""
    if "$ref" in schema:
        name = name_of(schema["$ref"])
        definition = definitions[name]
        return f"mapping [`{name}`](#{name})" if "properties" in definition else definition.get("title") or type_of(definition, definitions)
    if "enum" in schema:
        return values(schema["enum"])
    if "anyOf" in schema:
        alternatives = schema["anyOf"]
        lists = [alternative for alternative in alternatives if alternative.get("type") == "array"]
        if lists and len(lists) < len(alternatives) and "enum" not in alternatives[-1]:
            [single] = [alternative for alternative in alternatives if alternative not in lists]
            return f"{type_of(single, definitions)}, or a list{bounds(lists[0].get('minItems'), lists[0].get('maxItems'))}"
        return ", or ".join(type_of(alternative, definitions) for alternative in alternatives)
    if "allOf" in schema:
        return type_of(schema["allOf"][0], definitions)
    if schema["type"] == "array":
        return f"list{bounds(schema.get('minItems'), schema.get('maxItems'))}: {type_of(schema['items'], definitions)}"
    if schema["type"] == "object":
        key = type_of(schema["propertyNames"], definitions)
        size = bounds(schema.get("minProperties"), schema.get("maxProperties"))
        return f"mapping{size}: {key} to {type_of(schema['additionalProperties'], definitions)}"
    if schema["type"] == "integer":
        least, most = schema["minimum"], schema["maximum"]
        return f"whole number, {least:,} to {most:,}"
    return {"boolean": "`true` or `false`"}[schema["type"]]


def default_of(key, schema, required):
    if key in required:
        return "required"
    if "default" not in schema:
        return "see there" if "Without it:" in schema["description"] else "–"
    return values([schema["default"]])


def keys(definition, definitions):
    """The table of a mapping's keys."""
    required = definition.get("required", ())
    rows = [
        [f"`{key}`", type_of(schema, definitions), default_of(key, schema, required), schema["description"]]
        for key, schema in definition["properties"].items()
    ]
    text = table(["key", "type", "default", "meaning"], rows)
    if "description" in definition and "title" not in definition:
        return f"{wrapped(definition['description'])}\n{text}"
    return text


def types(definitions):
    """The table of the types that are named above."""
    rows = [
        [definition["title"], definition["description"], ", ".join(f"`{example}`" for example in definition["examples"] if "\n" not in example)]
        for definition in definitions.values()
        if "title" in definition and "description" in definition
    ]
    return table(["type", "what it is", "examples"], sorted(rows))


def of(kind):
    """Every computed part of the page on a kind of file, by name; none for other pages."""
    if kind not in KINDS:
        return {}
    whole = schema(kind)
    definitions = whole["$defs"]
    of_mappings = {name: keys(definition, definitions) for name, definition in definitions.items() if "properties" in definition}
    return {"file": keys(whole, definitions), **of_mappings, "types": types(definitions)}
