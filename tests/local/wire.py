"""Requests as they were on the wire, turned back into the operation and its parameters."""

import re
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.etree import ElementTree

import models

# Headers and fields of a request that belong to its transport, and to no operation.
TRANSPORT = {"x-amz-target", "x-amz-trailer", "x-amz-decoded-content-length", "x-amz-content-sha256", "x-amzn-query-mode"}
# A parameter in the address of an operation; with a plus it goes over slashes.
ANYTHING = re.compile(r"\{(\w+)(\+?)\}")


class Unreadable(Exception):
    """That a request is none of the service's operations, or has a body that is not of its protocol."""


class Request:
    """An operation with its parameters: each with its shape, its value on the wire, and how to read that."""

    def __init__(self, operation):
        self.operation = operation
        self.parameters = {}
        self.unknown = []

    def take(self, name, value, codec):
        self.parameters[name] = (value, codec)

    def differences(self):
        """How it differs from the model: a line for each difference."""
        shape = self.operation.input_shape
        members = shape.members if shape else {}
        for name in shape.required_members if shape else []:
            if name not in self.parameters:
                yield f"the whole: the required member {name} is missing"
        for name, (value, codec) in self.parameters.items():
            if name in members:
                yield from models.differences(members[name], value, name, codec)
            else:
                yield f"{name}: an unknown member"
        for name in self.unknown:
            yield f"{name}: an unknown member"
        values = {name: value for name, (value, _) in self.parameters.items()}
        yield from models.documented(self.operation.service_model.signing_name, self.operation.name, values)


def read(record):
    """The request of a record."""
    model = models.service(record["service"])
    if model is None:
        raise Unreadable(f"there is no service {record['service']}")
    protocol = model.protocol
    # A service that speaks CBOR may speak JSON as well.
    if protocol == "json" or (protocol == models.CBOR and "x-amz-target" in record["headers"]):
        return of_json(model, record)
    if protocol == models.CBOR:
        return of_cbor(model, record)
    if protocol == "query":
        return of_form(model, record)
    return of_rest(model, record)


def operation_named(model, name):
    if name not in model.operation_names:
        raise Unreadable(f"{model.service_name} has no operation {name}")
    return model.operation_model(name)


def by_wire_name(shape):
    """Members of a shape by their names on the wire."""
    return {models.wire_name(name, member): name for name, member in (shape.members if shape else {}).items()}


def of_json(model, record):
    prefix, _, name = record["headers"].get("x-amz-target", "").rpartition(".")
    if prefix != model.metadata["targetPrefix"]:
        raise Unreadable(f"{prefix} is not how requests to {model.service_name} begin")
    wanted = f"application/x-amz-json-{model.metadata['jsonVersion']}"
    if record["headers"].get("content-type") != wanted:
        raise Unreadable(f"the content type is {record['headers'].get('content-type')}, not {wanted}")
    request = Request(operation_named(model, name))
    take_json(request, request.operation.input_shape, record["body"])
    return request


def of_cbor(model, record):
    """https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html"""
    prefix, _, name = record["path"].rpartition("/operation/")
    if (record["method"], prefix) != ("POST", f"/service/{model.metadata['targetPrefix']}"):
        raise Unreadable(f"{model.service_name} has no operation at {record['method']} {record['path']}")
    if record["headers"].get("content-type") != "application/cbor":
        raise Unreadable(f"the content type is {record['headers'].get('content-type')}, not application/cbor")
    request = Request(operation_named(model, name))
    take_json(request, request.operation.input_shape, record["body"])
    return request


def take_json(request, shape, body):
    if not isinstance(body, dict):
        raise Unreadable(f"the body is not valid JSON object: {body!r}")
    names = by_wire_name(shape)
    for name, value in without_nulls(body).items():
        request.take(names.get(name, name), value, models.Json())


def without_nulls(value):
    """To the services a member that is null is one that is not there."""
    if isinstance(value, dict):
        return {name: without_nulls(item) for name, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def of_form(model, record):
    fields = dict(record["body"])
    if len(fields) != len(record["body"]):
        raise Unreadable("a field comes twice")
    request = Request(operation_named(model, fields.pop("Action", "")))
    if fields.pop("Version", None) != model.api_version:
        raise Unreadable(f"the version is not {model.api_version}")
    shape = request.operation.input_shape
    for name, member in (shape.members if shape else {}).items():
        value = from_fields(member, models.wire_name(name, member), fields)
        if value is not None:
            request.take(name, value, models.Text())
    request.unknown += fields
    return request


def from_fields(shape, prefix, fields):
    """What the fields of a form say of a shape, as nested values. They are taken out of the fields."""
    if shape.type_name == "structure":
        found = {}
        for name, member in shape.members.items():
            wire = models.wire_name(name, member)
            value = from_fields(member, f"{prefix}.{wire}", fields)
            if value is not None:
                found[wire] = value
        return found or None
    if shape.type_name == "list":
        flat = shape.serialization.get("flattened")
        below = prefix if flat else f"{prefix}.{shape.member.serialization.get('name', 'member')}"
        return numbered(lambda place: from_fields(shape.member, f"{below}.{place}", fields))
    if shape.type_name == "map":
        below = prefix if shape.serialization.get("flattened") else f"{prefix}.entry"
        key, value = (models.wire_name(name, side) for name, side in [("key", shape.key), ("value", shape.value)])
        entries = numbered(lambda place: entry_of(shape.value, f"{below}.{place}", key, value, fields))
        return dict(entries) if entries else None
    return fields.pop(prefix, None)


def entry_of(shape, prefix, key, value, fields):
    if f"{prefix}.{key}" not in fields:
        return None
    return fields.pop(f"{prefix}.{key}"), from_fields(shape, f"{prefix}.{value}", fields)


def numbered(item):
    """Items that are numbered from 1, as long as there are more."""
    items = []
    while (found := item(len(items) + 1)) is not None:
        items.append(found)
    return items or None


def of_rest(model, record):
    """The operation whose method and address fit best, as the services themselves find it."""
    address = urlsplit(record["path"])
    query = parse_qsl(address.query, keep_blank_values=True)
    headers = {name: value for name, value in record["headers"].items() if name not in TRANSPORT}
    fitting = []
    for name in model.operation_names:
        operation = model.operation_model(name)
        path = parts_of(operation, record["method"], address.path, query)
        if path is not None and needs_are_there(operation, query, headers):
            fitting.append((specific(operation, query, headers), name, path))
    if not fitting:
        raise Unreadable(f"{model.service_name} has no operation at {record['method']} {record['path']}")
    _, name, path = max(fitting)
    request = Request(model.operation_model(name))
    # Smithy's name of the operation, which the newer SDKs send to S3: https://smithy.io/2.0/aws/customizations/s3-customizations.html
    marks = {value for key, value in query if key == "x-id"}
    if marks - {name}:
        raise Unreadable(f"{record['path']} looks like {name}")
    take_rest(request, path, [(key, value) for key, value in query if key != "x-id"], headers, record["body"])
    return request


def split(operation):
    path, _, query = operation.http["requestUri"].partition("?")
    return path, parse_qsl(query, keep_blank_values=True)


def parts_of(operation, method, path, query):
    """What stands in an address where an operation has parameters; nothing if it is another operation's."""
    if operation.http["method"] != method:
        return None
    template, fixed = split(operation)
    if any(pair not in query for pair in fixed):
        return None
    expression = "".join(
        re.escape(text) if index % 3 == 0 else ("" if index % 3 == 2 else f"(?P<{text}>{'.+' if more else '[^/]+'})")
        for index, text, more in pieces(template.rstrip("/"))
    )
    found = re.fullmatch(expression, path.rstrip("/")) if template != "/" else re.fullmatch("/?", path)
    return {name: unquote(value) for name, value in found.groupdict().items()} if found else None


def pieces(template):
    """A template's texts and names in turn, each with whether it may go over slashes."""
    parts = ANYTHING.split(template)
    for index, text in enumerate(parts):
        yield index, text, index % 3 == 1 and parts[index + 1] == "+"


def located(operation, location):
    """Members that stand in a place of the request, by their names there."""
    shape = operation.input_shape
    members = shape.members.items() if shape else []
    return {models.wire_name(name, member): (name, member) for name, member in members if member.serialization.get("location") == location}


def needs_are_there(operation, query, headers):
    """Whether what the model requires in the address and in headers is there; a body that lacks something is still this operation's."""
    required = operation.input_shape.required_members if operation.input_shape else []
    given = {"querystring": {key for key, _ in query}, "header": set(headers)}
    return all(
        wire.lower() in {name.lower() for name in names}
        for location, names in given.items()
        for wire, (name, _) in located(operation, location).items()
        if name in required
    )


def specific(operation, query, headers):
    """How closely an operation fits: what it has fixed, then what it requires of what is given."""
    _, fixed = split(operation)
    required = operation.input_shape.required_members if operation.input_shape else []
    asked = {**located(operation, "querystring"), **located(operation, "header")}
    known = sum(key in located(operation, "querystring") for key, _ in query) + sum(name in located(operation, "header") for name in headers)
    return len(fixed), sum(name in required for name, _ in asked.values()), known


def take_rest(request, path, query, headers, body):
    operation, shape = request.operation, request.operation.input_shape
    _, fixed = split(operation)
    text = models.Text()
    addressed, asked, headed = (located(operation, location) for location in ["uri", "querystring", "header"])
    for name, value in path.items():
        request.take(addressed[name][0], value, text)
    maps = {name for name, member in asked.values() if member.type_name == "map"}
    for key, value in query:
        if key in asked:
            name, member = asked[key]
            if member.type_name == "list":
                value = [*request.parameters.get(name, ([], text))[0], value]
            request.take(name, value, text)
        elif (key, value) not in fixed and not maps:
            request.unknown.append(f"?{key}")
    lower = {wire.lower(): found for wire, found in headed.items()}
    prefixes = {wire.lower(): name for wire, (name, _) in located(operation, "headers").items()}
    for header, value in headers.items():
        prefixed = next((prefix for prefix in prefixes if header.startswith(prefix)), None)
        if header in lower:
            name, member = lower[header]
            request.take(name, value, models.Text("rfc822") if member.type_name == "timestamp" else text)
        elif prefixed:
            entries = request.parameters.get(prefixes[prefixed], ({}, text))[0]
            request.take(prefixes[prefixed], {**entries, header.removeprefix(prefixed): value}, text)
        elif header.startswith("x-amz-"):
            request.unknown.append(header)
    take_body(request, shape, body)


def take_body(request, shape, body):
    payload = shape.serialization.get("payload") if shape else None
    if payload:
        member = shape.members[payload]
        if member.type_name != "structure":
            # The content of an object, of which the record has only the length.
            return
        if body not in (None, ""):
            if request.operation.service_model.protocol == "rest-xml":
                request.take(payload, from_xml(member, parsed(body)), models.Text())
            else:
                request.take(payload, body, models.Json())
        return
    inside = {name: member for name, member in (shape.members if shape else {}).items() if "location" not in member.serialization}
    if body in (None, ""):
        return
    if not inside and body == {}:
        return
    if request.operation.service_model.protocol == "rest-xml":
        raise Unreadable("a body where the operation has none")
    take_json(request, shape, body)


def parsed(text):
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise Unreadable(f"the body is not valid XML: {error}") from error


def local(element):
    return element.tag.rpartition("}")[2]


def from_xml(shape, element):
    """What an element says of a shape, as nested values; members that the shape does not have stay under their names."""
    if shape.type_name == "structure":
        members = {models.wire_name(name, member): member for name, member in shape.members.items()}
        found = {}
        for child in element:
            name = local(child)
            member = members.get(name)
            if member is None:
                found[name] = child.text
            elif member.type_name == "list" and member.serialization.get("flattened"):
                found.setdefault(name, []).append(from_xml(member.member, child))
            else:
                found[name] = from_xml(member, child)
        return found
    if shape.type_name == "list":
        return [from_xml(shape.member, child) for child in element]
    return element.text or ""
