"""Writes docs/reference/events.md: which event reaches which function, by which rule. What a rule lets pass is judged by the local AWS.

    python events_table.py        with the requirements of requirements.txt installed
"""

import json
import textwrap

import samples
from infra import ROOT, SUITE, Template, as_list, attribute_of, resolve
from local_aws import LocalAws

DOCUMENT = ROOT / "docs" / "reference" / "events.md"
HOW = "docs/reference/events.md is not current. Make it again: target/venv/local-aws/bin/python tests/local/events_table.py"

HEAD = """\
# Events and rules

Which event reaches which function, and by which rule of EventBridge.

A program makes this page from `infra/template.yaml` and `events/`. The step `rules` of
`cargo xtask test` compares it with both. After a change to either:

```sh
# in this repository
target/venv/local-aws/bin/python tests/local/events_table.py
```

[Sample events](../../events/README.md) says what a function does with each event. Some of these
events come only in ways that need configuration: see [triggers](../how-to/triggers.md).

"""


def table(head, rows):
    """A table of Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in [head, *rows]]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]]) + "\n"


def wrapped(text):
    """A paragraph in lines of 100 columns."""
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False) + "\n"


def code(text):
    return f"`{text}`"


def time(seconds):
    """A time as people read it."""
    return next(f"{seconds // size} {unit}" for size, unit in ((3600, "h"), (60, "min"), (1, "s")) if seconds % size == 0)


def takes(values):
    """The values that a pattern matches at a field."""
    said = []
    for value in values:
        if isinstance(value, dict):
            [(how, what)] = value.items()
            said.append(f"{how} {takes(as_list(what))}")
        else:
            said.append(code(value))
    return ", ".join(said)


def what_passes(pattern):
    """What a rule matches: the kind of event, and the values of its detail."""
    return "; ".join([takes(pattern["detail-type"]) + " of " + takes(pattern["source"]), *fields(pattern.get("detail", {}))])


def fields(pattern):
    """The values that a pattern matches, field by field."""
    for field, values in pattern.items():
        if field == "$or":
            yield ", or ".join(" with ".join(fields(one)) for one in values)
        else:
            yield f"{field}: {takes(values)}"


def text(local):
    """The document."""
    template = Template.read(SUITE)
    parameters = template.defaults()
    # Of the two rules for alarms, the one for the suite's own is enabled by default.
    patterns = {**template.patterns(), **template.patterns(AlarmRule="all")}
    rules = template.of_type("AWS::Events::Rule")
    functions = {rule: ", ".join(attribute_of(target["Arn"]) for target in properties["Targets"]) for rule, properties in rules.items()}

    rows = []
    for rule, properties in sorted(rules.items(), key=lambda item: (functions[item[0]], item[0])):
        if rule in patterns:
            when = what_passes(patterns[rule])
        else:
            when = "time: " + code(resolve(properties["ScheduleExpression"], parameters))
        [target] = properties["Targets"]
        retry = target["RetryPolicy"]
        tries = f"{retry['MaximumRetryAttempts']} in {time(retry['MaximumEventAgeInSeconds'])}"
        rows.append([code(functions[rule]), code(rule), when, tries])
    document = HEAD
    document += "## Rules\n\nThe patterns are those with the default parameters. One of the two rules for alarms is enabled, by\nthe parameter `AlarmRule`; the default is the one for the suite's own alarms. Each rule accepts\nevents of the stack's own account only. An event that EventBridge cannot deliver is retried, and\nthen goes to the function's dead-letter queue.\n\n"
    document += table(["Function", "Rule", "Matches", "Retries"], rows)

    document += "\n## Sample events\n\n"
    document += "An event without a rule is either not for Bellhop, or reaches its function directly: by a trigger\n"
    document += "of CodeCommit, an action of an alarm or of a pipeline, SNS, EventBridge Scheduler, or a request. A\n"
    document += "scheduled event of EventBridge goes to the function of the rule whose time has come.\n\n"
    rows = []
    for sample, reached in samples.reaching(local, patterns).items():
        event = json.loads(samples.samples()[sample])
        kind = event.get("detail-type") if isinstance(event, dict) else None
        function = ", ".join(code(functions[rule]) for rule in reached) or "–"
        by = ", ".join(map(code, reached)) or ("the rule's schedule" if isinstance(event, dict) and event.get("source") == "aws.events" else "none")
        rows.append([code(sample), kind or "not from EventBridge", by, function])
    document += table(["Event", "Kind", "Rule", "Function"], rows)
    return document


def main():
    with LocalAws() as local:
        DOCUMENT.write_text(text(local))


if __name__ == "__main__":
    main()
