"""Holds what was recorded against AWS's own models: requests, the stand-in's answers, and events. And the samples of events/.

    python check_models.py FOLDER        with the requirements of requirements.txt installed

FOLDER is the one that BELLHOP_RECORD named when something ran before the stand-in (tests/stand-in/src/record.rs). What the models have to say is in models.py,
how a request is read in wire.py, and what events look like in event_schemas.py.

Every request of an SDK's, and so every one of the functions', has to be what the model of its operation says, whatever it was answered with. The tests of the
stand-in send requests of their own making, some wrong on purpose: those are held against the models where the stand-in took them.
"""

import json
import sys
from collections import Counter
from pathlib import Path

import botocore.parsers

import event_schemas
import models
import samples
import wire

# The services that the functions use: the record has to have a request of theirs to each.
USED = ["backup", "cloudcontrolapi", "codebuild", "codecommit", "codepipeline", "dynamodb", "ecs", "s3", "sns", "states"]
# Where the events come from that every record has to have.
OWN_SOURCES = ["aws.codebuild", "aws.codecommit", "aws.ecs", "aws.states"]
# The first words of the User-Agent of the functions and the agent, and of all programs that know the models themselves.
FUNCTIONS = "aws-sdk-rust"
SDKS = {FUNCTIONS, "aws-cli", "Boto3"}
# A fault whose code, status and words a test has made up.
MADE_UP = "error"

# What the samples of events/ leave out, because real deliveries do.
SAMPLES = {
    "codebuild/without-particulars.json": "the samples of EventBridge's console have no additional-information",
    "codecommit/unreferenced-merge.json": "the samples of https://docs.aws.amazon.com/codecommit/latest/userguide/monitoring-events.html name no caller",
}


def records(folder):
    """Every line of the record, each kind once."""
    found = {}
    for file in sorted(Path(folder).glob("*.jsonl")):
        for line in file.read_text().splitlines():
            found.setdefault(line, json.loads(line))
    return list(found.values())


def of_request(record):
    """How a request differs from its operation's model."""
    try:
        request = wire.read(record)
    except wire.Unreadable as error:
        yield str(error)
        return
    if request.operation.name != record["operation"]:
        yield f"it is {request.operation.name}, and the stand-in takes it for {record['operation']}"
    yield from request.differences()


def of_answer(record):
    """How an answer of the stand-in's differs from its operation's model."""
    model = models.service(record["service"])
    operation = model.operation_model(record["operation"])
    status, answer = record["status"], record["answer"]
    body = answer["body"]
    content = "" if body is None else body if isinstance(body, str) else json.dumps(body)
    wire_answer = {"status_code": status, "headers": answer["headers"], "body": content.encode()}
    # The record has CBOR as JSON: that it could be read is what its own protocol would say.
    protocol = "json" if model.protocol == models.CBOR else model.protocol
    try:
        read = botocore.parsers.create_parser(protocol).parse(wire_answer, operation.output_shape)
    except botocore.parsers.ResponseParserError as error:
        yield f"botocore cannot read it: {error}"
        return
    if not answer["headers"].get("x-amzn-requestid") and model.protocol != "rest-xml":
        yield "it has no request id"
    if status >= 300:
        yield from of_error(model, operation, status, body, read["Error"]["Code"])
    elif record["operation"] in models.ANSWERED.get(record["service"], ()) and model.protocol == "query":
        yield from (f"it has no {member}" for member in operation.output_shape.members if member not in read)
    elif model.protocol in ("query", "rest-xml"):
        yield f"the stand-in answers {record['service']} itself"
    else:
        yield from of_success(operation, status, body)


def of_success(operation, status, body):
    shape = operation.output_shape
    members = shape.members if shape else {}
    # Of a function that is invoked, status and body are the answer.
    if all(member.serialization.get("location") != "statusCode" for member in members.values()) and status != operation.http.get("responseCode", 200):
        yield f"the status is {status}"
    payload = shape.serialization.get("payload") if shape else None
    if payload and members[payload].type_name == "blob":
        return
    if shape is not None:
        yield from models.differences(shape, body, codec=models.Json(may_be_empty=True))
    elif body not in (None, {}):
        yield f"a body where the operation has none: {body!r}"


def of_error(model, operation, status, body, code):
    """How an error differs from those that the operation may answer."""
    shape = models.errors_of(model, operation).get(code)
    allowed = models.COMMON_ERRORS | models.MORE_ERRORS.get(model.service_name, set())
    if shape is None and code not in allowed:
        yield f"the error {code} is none of the operation's"
    modelled = shape.metadata.get("error", {}).get("httpStatusCode") if shape else None
    wanted = modelled or models.STATUSES.get(code, 400)
    if status != wanted:
        yield f"the status of {code} is {status}, not {wanted}"
    if isinstance(body, dict):
        known = {name.lower() for name in (shape.members if shape else {})} | {"__type", "message", "code"}
        for name, value in body.items():
            if name.lower() not in known:
                yield f"{name} of the error {code}: an unknown member"
            elif shape and name in shape.members:
                yield from models.differences(shape.members[name], value, f"{name} of the error {code}")


def judges_request(record):
    """Whether a request has to be what the model says: an SDK's, and what the stand-in itself took."""
    return record["client"] in SDKS or record["answer"] is not None and record["status"] < 300


def judges_answer(record):
    """Whether an answer has to be what the model says: the stand-in's own, to an operation that there is, in no test's words."""
    model = models.service(record["service"])
    known = model is not None and record["operation"] in model.operation_names
    return record["answer"] is not None and known and record["fault"] != MADE_UP


class Judge:
    """What was held against the models, and what differs."""

    def __init__(self):
        self.held = {"requests": Counter(), "answers": Counter(), "errors": Counter(), "events": Counter()}
        self.different = {}
        self.used = set()

    def note(self, what, held, differences, record):
        self.held[what][held] += 1
        for line in differences:
            self.different.setdefault((what, held, line), record)

    def judge(self, record):
        if "event" in record:
            event = record["event"]
            self.note("events", (event.get("source"), event.get("detail-type")), event_schemas.differences(event), record)
            return
        held = (record["service"], record["operation"])
        if record["client"] == FUNCTIONS:
            self.used.add(record["service"])
        if judges_request(record):
            self.note("requests", held, of_request(record), record)
        if judges_answer(record):
            what = "errors" if record["status"] >= 300 else "answers"
            self.note(what, held, of_answer(record), record)

    def lacking(self):
        """What a record has to have, or else nothing was judged."""
        answered = {(service, operation) for service, operations in models.ANSWERED.items() for operation in operations}
        found = set(self.held["answers"])
        yield from (f"no request of the functions' to {service}" for service in USED if service not in self.used)
        yield from (f"no {what}" for what, held in self.held.items() if not held)
        yield from (f"no answer of {' '.join(missing)}" for missing in sorted(answered - found))
        yield from (f"an answer of {' '.join(more)}, which models.ANSWERED does not have" for more in sorted(found - answered))
        events = {kind for _, kind in self.held["events"]}
        yield from (f"no event {kind}" for source, kind in event_schemas.tables() if source in OWN_SOURCES and kind not in events)

    def report(self):
        """What was held, in lines."""
        for what, held in self.held.items():
            by_first = {}
            for (first, second), count in sorted(held.items()):
                by_first.setdefault(first, []).append((second, count))
            print(f"{sum(held.values())} kinds of {what}, of {len(held)} {'kinds of events' if what == 'events' else 'operations'}:")
            for first, all_of_it in by_first.items():
                print(f"  {first}: " + ", ".join(f"{second} {count}" for second, count in all_of_it))
        for (what, held, line), record in self.different.items():
            print(f"{what[:-1]} {' '.join(held)}: {line}\n    {json.dumps(record)[:1500]}")


def check_samples():
    """How the samples of events/ differ from what AWS sends, where nothing explains it."""
    found, explained = [], set()
    for name, text in samples.samples().items():
        event = json.loads(text)
        if not isinstance(event, dict) or (event.get("source"), event.get("detail-type")) not in event_schemas.tables():
            continue
        lines = list(event_schemas.differences(event))
        if name in SAMPLES and all("is missing" in line for line in lines):
            explained.update([name] if lines else [])
        else:
            found += [f"events/{name}: {line}" for line in lines]
    found += [f"events/{name}: is explained, and differs in nothing" for name in SAMPLES if name not in explained]
    return found


def main(folder):
    judge = Judge()
    for record in records(folder):
        judge.judge(record)
    judge.report()
    wrong = check_samples()
    wrong += [f"the record in {folder} has {line}" for line in judge.lacking()]
    for line in wrong:
        print(line)
    return 1 if wrong or judge.different else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
