"""Writes the tables of docs/reference that come from the templates of infra/: parameters, outputs, variables of functions, and alarms.

    python reference.py         with the requirements of requirements.txt installed

Each table is between a line `<!-- computed: NAME -->` and a line `<!-- end -->`. `test_reference.py` compares the pages with the templates.
"""

import re

from events_table import code, table
from infra import ROOT, SUITE, TEMPLATES, Template, resolve

PAGES = ROOT / "docs" / "reference"
HOW = "is not current. Write it again: target/venv/local-aws/bin/python tests/local/reference.py"
PART = re.compile(r"(<!-- computed: ([a-z-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
# The template that nests the others.
WHOLE = "bellhop.yaml"
COMPARISONS = {"GreaterThanThreshold": ">", "LessThanThreshold": "<"}


def cell(text):
    """A text in a cell of a table."""
    return text.replace("|", r"\|").replace("\n", " ")


def default(parameter):
    if "Default" not in parameter:
        return "required"
    return code(parameter["Default"]) if parameter["Default"] != "" else "empty"


def allowed(parameter):
    """The values that a parameter takes; empty where its type says it all."""
    if "AllowedValues" in parameter:
        return ", ".join(code(value) for value in parameter["AllowedValues"])
    if "ConstraintDescription" in parameter:
        return parameter["ConstraintDescription"]
    said = []
    if "MinValue" in parameter and "MaxValue" in parameter:
        said.append(f"{parameter['MinValue']} to {parameter['MaxValue']}")
    elif "MinValue" in parameter:
        said.append(f"at least {parameter['MinValue']}")
    if "MaxLength" in parameter:
        said.append(f"{parameter.get('MinLength', 0)} to {parameter['MaxLength']} characters")
    if "AllowedPattern" in parameter:
        said.append(code(parameter["AllowedPattern"]))
    return "; ".join(said)


def row(name, parameter):
    return [code(name), code(parameter["Type"]), default(parameter), cell(allowed(parameter)), cell(parameter["Description"])]


def groups(template):
    """The parameters in the order and under the labels of the CloudFormation console."""
    parameters = template.document["Parameters"]
    for group in template.document["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]:
        yield group["Label"]["default"], {name: parameters[name] for name in group["Parameters"]}


def parameters(template, whole):
    """The tables of a template's parameters. Those that `bellhop.yaml` has in the same way are only named."""
    head = ["Parameter", "Type", "Default", "Allowed", "Meaning"]
    text, same = "", []
    for label, group in groups(template):
        rows = []
        for name, parameter in group.items():
            if template.name != WHOLE and whole.get(name) == parameter:
                same.append(code(name))
            else:
                rows.append(row(name, parameter))
        if rows:
            text += f"**{label}**\n\n{table(head, rows)}\n"
    if same:
        text += f"As in `{WHOLE}`: {', '.join(same)}.\n"
    return text.rstrip("\n") + "\n"


def outputs(template):
    rows = []
    for name, output in sorted(template.document["Outputs"].items()):
        rows.append([code(name), code(output["Condition"]) if "Condition" in output else "always", cell(output.get("Description", ""))])
    return table(["Output", "Present", "Meaning"], rows)


def span(seconds):
    return f"{seconds // 60} min" if seconds % 60 == 0 else f"{seconds} s"


def threshold(alarm):
    """When an alarm is in ALARM, such as `Errors` > 0, 2 of 3 periods of 5 min."""
    periods, of = alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"]), alarm["EvaluationPeriods"]
    said = "" if of == 1 else f"{periods} of {of} periods of "
    missing = "; no data counts as over it" if alarm["TreatMissingData"] == "breaching" else ""
    return f"{code(alarm['MetricName'])} {COMPARISONS[alarm['ComparisonOperator']]} {alarm['Threshold']}, {said}{span(alarm['Period'])}{missing}"


def alarms(template):
    rows = []
    for name, alarm in sorted(template.of_type("AWS::CloudWatch::Alarm").items()):
        condition = template.resources[name].get("Condition")
        monitoring = {None: "`basic`, `full`", "HasFullMonitoring": "`full`"}[condition]
        rows.append([code(name), code(resolve(alarm["AlarmName"], {"Suite": "SUITE"})), threshold(alarm), monitoring])
    return table(["Alarm", "Name", "In ALARM", "`Monitoring`"], rows)


def functions(template):
    """Limits of the functions, and what becomes of an invocation that fails."""
    rows = []
    for name, function in sorted(template.of_type("AWS::Lambda::Function").items()):
        retries = template.properties(f"{name}EventInvokeConfig")
        age = retries["MaximumEventAgeInSeconds"]
        rows.append([code(name), f"{function['Timeout']} s", f"{function['MemorySize']} MB", str(retries["MaximumRetryAttempts"]), span(age)])
    return table(["Function", "Timeout", "Memory", "Retries", "Maximum age of an event"], rows)


def variables(template):
    """The variables of every function's environment, as a set of names for each."""
    return {name: set(function["Environment"]["Variables"]) for name, function in template.of_type("AWS::Lambda::Function").items()}


def computed():
    """Every computed part, by its name."""
    templates = {template.name: template for template in map(Template.read, TEMPLATES)}
    whole = templates[WHOLE].document["Parameters"]
    parts = {}
    for name, template in templates.items():
        short = name.removesuffix(".yaml")
        parts[f"{short}-parameters"] = parameters(template, whole)
        parts[f"{short}-outputs"] = outputs(template)
    parts["alarms"] = alarms(templates[SUITE.name])
    parts["functions"] = functions(templates[SUITE.name])
    return parts


def pages():
    """The pages with computed parts as they are and as they should be, and the parts that no page has."""
    parts = computed()
    found = set()

    def part(match):
        opening, name, _, end = match.groups()
        # Other parts are computed elsewhere.
        if name not in parts:
            return match.group()
        found.add(name)
        return f"{opening}\n{parts[name]}\n{end}"

    changes = {}
    for page in sorted(PAGES.glob("*.md")):
        text = page.read_text()
        if "<!-- computed: " in text:
            changes[page] = (text, PART.sub(part, text))
    return changes, parts.keys() - found


def main():
    changes, missing = pages()
    if missing:
        raise SystemExit(f"no page has the parts {', '.join(sorted(missing))}")
    for page, (_, text) in changes.items():
        page.write_text(text)


if __name__ == "__main__":
    main()
