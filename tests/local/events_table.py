"""Writes docs/reference/events.md: which event reaches which function, by which rule. What a rule lets pass is judged by the local AWS.

    python events_table.py        with the requirements of requirements.txt installed
"""

import json

import samples
from infra import ROOT, SUITE, Template, as_list, attribute_of, resolve
from local_aws import LocalAws

DOCUMENT = ROOT / "docs" / "reference" / "events.md"
HOW = "docs/reference/events.md is not current. Make it again: target/venv/local-aws/bin/python tests/local/events_table.py"

HEAD = """\
# Which event reaches which function

Made from `infra/template.yaml` and `events/` by `tests/local/events_table.py`, and held against both by `cargo xtask test --only rules`. After a change to
either, make it again with

```
target/venv/local-aws/bin/python tests/local/events_table.py
```

What a function makes of an event stands in [events/README.md](../../events/README.md).

"""


def table(head, rows):
    """A table of Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in [head, *rows]]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]]) + "\n"


def code(text):
    return f"`{text}`"


def takes(values):
    """What a pattern takes at a field, in words."""
    said = []
    for value in values:
        if isinstance(value, dict):
            [(how, what)] = value.items()
            said.append(f"{how} {takes(as_list(what))}")
        else:
            said.append(code(value))
    return ", ".join(said)


def what_passes(pattern):
    """What a rule lets pass, in words: the kind of event, and what its detail has to say."""
    words = [takes(pattern["detail-type"]) + " of " + takes(pattern["source"])]
    words += [f"{field}: {takes(values)}" for field, values in pattern.get("detail", {}).items()]
    return "; ".join(words)


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
        tries = f"{retry['MaximumRetryAttempts']} times in {retry['MaximumEventAgeInSeconds']} s"
        rows.append([code(functions[rule]), code(rule), when, tries])
    document = HEAD
    document += "## The rules\n\nWith the parameters' defaults. Of the two rules for alarms one is enabled, by default\nthe one for the suite's own (`AlarmRule`). What cannot be delivered is tried again so often, and then goes to the function's dead-letter queue.\n\n"
    document += table(["Function", "Rule", "Lets pass", "Tried again"], rows)

    document += "\n## The samples\n\nWhat no rule lets pass is either none of Bellhop's business or comes to its function directly: by a trigger of CodeCommit, an action of "
    document += "an alarm or of a\npipeline, SNS, EventBridge Scheduler, or a request. What EventBridge sends when a rule's time has come goes to that rule's function, and "
    document += "to no other.\n\n"
    rows = []
    for sample, reached in samples.reaching(local, patterns).items():
        event = json.loads(samples.samples()[sample])
        kind = event.get("detail-type") if isinstance(event, dict) else None
        function = ", ".join(code(functions[rule]) for rule in reached) or "–"
        by = ", ".join(map(code, reached)) or ("a rule's time" if isinstance(event, dict) and event.get("source") == "aws.events" else "none")
        rows.append([code(sample), kind or "no event of EventBridge", by, function])
    document += table(["Event", "Kind", "Rule", "Function"], rows)
    return document


def main():
    with LocalAws() as local:
        DOCUMENT.write_text(text(local))


if __name__ == "__main__":
    main()
