"""Writes the tables of docs/reference that come from the templates of infra/, constants of the code, and the JSON Schemas of users' files.

    python reference.py         with the requirements of requirements.txt installed

Each table is between a line `<!-- computed: NAME -->` and a line `<!-- end -->`. `test_reference.py` compares the pages with what they come from.
"""

import json
import re
from datetime import timedelta
from math import prod

import schema_tables
from events_table import code, table, time, wrapped
from infra import ROOT, SUITE, TEMPLATES, Template, behind_urls, resolve

PAGES = ROOT / "docs" / "reference"
HOW = "is not current. Write it again: target/venv/local-aws/bin/python tests/local/reference.py"
PART = re.compile(r"(<!-- computed: ([a-z-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
# The template that nests the others.
WHOLE = "bellhop.yaml"
# When an output with a condition is there.
PRESENT = {
    "HasControlUrl": "with `ControlUrl=true`",
    "HasCodeBuildProject": "with `CodeBuildProject`",
    "HasCustomerKey": "with `CustomerKey=true`",
    "HasFullMonitoring": "with `Monitoring=full`",
    "MakesAgentImage": "without `AgentImage`",
}
# What the jobs on an agent may do beside what all may: check out, read their script, leave report and artifacts.
RIGHTS = {
    "small": "",
    "medium": "",
    "large": "",
    "publish": "push images to `ImageRepositories`",
    "deploy": "assume roles of `DeployRolePattern`",
    "docker": "push images to `ImageRepositories`; a Docker daemon, unless `CodeBuildPrivileged=false`",
}
# Limits by the part of limits.md that has them: what is limited, the file and the constants that say how much, the unit, and what is beyond.
REJECTED = "the run is rejected"
LIMITS = {
    "limits-files": [
        ("size of a file", "domain/src/yaml/source.rs", ["LARGEST"], "bytes", "the file is an error"),
        ("nesting", "domain/src/yaml/source.rs", ["DEEPEST"], "levels", "the file is an error"),
        ("values, with all that aliases stand for", "domain/src/yaml/source.rs", ["MOST_VALUES"], "", "the file is an error"),
        ("aliases", "domain/src/yaml/source.rs", ["MOST_ALIASES"], "", "the file is an error"),
        ("anchors", "domain/src/yaml/source.rs", ["MOST_ANCHORS"], "", "the file is an error"),
        ("merge keys", "domain/src/yaml/source.rs", ["MOST_MERGES"], "", "the file is an error"),
        ("length of a duration", "domain/src/yaml/values.rs", ["LONGEST_DURATION"], "characters", "the file is an error"),
        ("earlier versions of the suite configuration that can replace a broken one", "aws/src/bucket.rs", ["EARLIER_CONFIGURATIONS"], "", "every run is rejected"),
    ],
    "limits-pipeline-file": [
        ("jobs", "domain/src/config/pipeline/mod.rs", ["MOST_JOBS"], "", REJECTED),
        ("patterns in `branches`, `tags`, `paths` or `except`", "domain/src/config/pipeline/filters.rs", ["MOST_PATTERNS"], "", REJECTED),
        ("patterns of all filters together", "domain/src/config/pipeline/filters.rs", ["MOST_PATTERNS_IN_ALL"], "", REJECTED),
        ("length of such a pattern", "domain/src/patterns.rs", ["LONGEST"], "characters", REJECTED),
        ("changed files that `paths` are compared with", "aws/src/codecommit.rs", ["CHANGED_LIMIT"], "", "every path counts as changed"),
        ("`timeout`, `queue-timeout`", "domain/src/config/pipeline/job.rs", ["SHORTEST_TIMEOUT", "LONGEST_TIMEOUT"], "", REJECTED),
        ("`timeout` without the key", "domain/src/config/pipeline/job.rs", ["DEFAULT_TIMEOUT"], "", "the build ends `timed-out`"),
        ("`queue-timeout` without the key", "domain/src/config/pipeline/job.rs", ["DEFAULT_QUEUE_TIMEOUT"], "", "the build ends `timed-out`"),
        ("rules of `retry`", "domain/src/config/pipeline/retry.rs", ["MOST_RULES"], "", REJECTED),
        ("`limit` of a rule", "domain/src/config/pipeline/retry.rs", ["MOST_RETRIES"], "", REJECTED),
        ("`backoff` of a rule", "domain/src/config/pipeline/retry.rs", ["LONGEST_FIRST_BACKOFF"], "", REJECTED),
        ("patterns of `artifacts`", "domain/src/config/pipeline/artifacts.rs", ["MOST_ARTIFACTS"], "", REJECTED),
        ("length of such a pattern", "domain/src/config/pipeline/artifacts.rs", ["LONGEST_ARTIFACT"], "characters", REJECTED),
        ("`secrets` of a job", "domain/src/config/pipeline/secrets.rs", ["MOST_SECRETS"], "", REJECTED),
        ("length of the name of a secret", "domain/src/secret.rs", ["LONGEST_NAME"], "characters", REJECTED),
        ("variables, names of secrets and artifact patterns of a job on ECS, as JSON", "domain/src/executor/ecs.rs", ["LARGEST_ENVIRONMENT"], "count", REJECTED),
        ("script, variables and everything else of a job, as JSON", "engine/src/start.rs", ["LARGEST_SPEC"], "count", REJECTED),
        ("overrides of an ECS task, which hold a script", "domain/src/executor/ecs.rs", ["OVERRIDES_LIMIT"], "characters", "the script goes through the bucket"),
    ],
    "limits-builds": [
        ("time for a Spot agent to come up", "domain/src/executor/kind.rs", ["LAUNCH_TIMEOUT"], "", "it is stopped, and on-demand follows"),
        ("time for an on-demand agent to come up", "domain/src/executor/ecs.rs", ["ON_DEMAND_LAUNCH_TIMEOUT"], "", "`infrastructure-failed`, or a retry"),
        ("time for an agent to stop", "domain/src/build/deadline.rs", ["STOP_TIMEOUT"], "", "it counts as lost"),
        ("wait after a refused launch, doubled each time", "domain/src/build/deadline.rs", ["REFUSED_BACKOFF", "LONGEST_BACKOFF"], "", "until `queue-timeout`"),
        ("turn of a function that launches what was throttled", "domain/src/queue/launcher.rs", ["TURN"], "", "prolonged, or the next one's"),
        ("retries of a launch that AWS refuses for an unknown reason", "domain/src/build/deadline.rs", ["UNKNOWN_FOR"], "", "`infrastructure-failed`"),
        ("wait until the message `waiting`", "domain/src/build/deadline.rs", ["WAITING_ANNOUNCED_AFTER"], "", ""),
        ("silence of a running agent until Bellhop asks its service", "domain/src/build/deadline.rs", ["CHECK_RUNNING"], "", ""),
        ("slots of one agent template (`max-concurrent`)", "domain/src/queue/pool.rs", ["MOST_SLOTS"], "", "an error in the suite configuration"),
        ("patterns of `refs`", "domain/src/patterns.rs", ["MOST_REFS"], "", "an error in the suite configuration"),
        ("`timeout` that CodeBuild enforces itself, in minutes", "domain/src/executor/codebuild/buildspec.rs", ["TIMEOUT"], "", "Bellhop enforces a shorter one"),
        ("`queue-timeout` that CodeBuild enforces itself, in minutes", "domain/src/executor/codebuild/buildspec.rs", ["QUEUED_TIMEOUT"], "", "Bellhop enforces a shorter one; CodeBuild ends a longer wait"),
        ("a record in the table, as JSON", "engine/src/records/mod.rs", ["LARGEST"], "count", "names and texts for people are left out"),
        ("time until CodePipeline's job is answered with a continuation", "domain/src/run/pipeline.rs", ["CONTINUE_AFTER"], "", ""),
        ("time within which CodePipeline must continue an action", "domain/src/run/pipeline.rs", ["GONE_AFTER"], "", "the run is cancelled"),
    ],
    "limits-results": [
        ("artifacts of an attempt", "engine/src/results.rs", ["LISTED"], "", "the agent keeps the first; a line in the log"),
        ("artifacts in a report", "domain/src/results/found.rs", ["MOST_ARTIFACTS"], "", "counted"),
        ("artifacts in a message", "domain/src/message/results.rs", ["ARTIFACTS_NAMED"], "", "counted"),
        ("size of a JUnit report", "domain/src/results/junit/error.rs", ["LARGEST"], "bytes", "counted in part; named as not counted to its end"),
        ("nesting in a JUnit report", "domain/src/results/junit/error.rs", ["DEEPEST"], "levels", "counted in part; named as not counted to its end"),
        ("XML files of a build that are read", "engine/src/results.rs", ["MOST_REPORTS"], "", "named as not counted"),
        ("XML files of a build that are read, together", "engine/src/results.rs", ["MOST_BYTES"], "bytes", "named as not counted"),
        ("failed tests that are named", "domain/src/results/found.rs", ["MOST_FAILED"], "", "counted"),
        ("reports that are named as not counted", "domain/src/results/found.rs", ["MOST_UNREAD"], "", "counted"),
        ("name of a test", "domain/src/results/junit/attributes.rs", ["LONGEST_NAME"], "characters", "cut"),
        ("an agent's report", "aws/src/bucket.rs", ["REPORT_LIMIT"], "bytes", "ignored; a line in the log"),
    ],
    "limits-messages": [
        ("SMS", "domain/src/message/text.rs", ["SMS_LIMIT"], "characters", "cut"),
        ("subject of an e-mail", "domain/src/message/text.rs", ["SUBJECT_LIMIT"], "characters", "cut"),
        ("repository or branch in a title", "domain/src/message/text.rs", ["NAME_LIMIT"], "characters", "cut; the document has the full name"),
        ("jobs of a run whose message has full causes", "domain/src/message/run.rs", ["MANY_JOBS"], "", "each cause is cut"),
        ("such a cause", "domain/src/message/run.rs", ["SHORT_CAUSE"], "characters", "cut"),
        ("tasks on an interrupted instance that are named", "domain/src/message/instance.rs", ["FOREIGN_NAMED"], "", "counted"),
        ("name of a request (`id`)", "events/src/sources/control.rs", ["LONGEST_ID"], "bytes", "an error"),
        ("body of an HTTP request to the function URL", "events/src/sources/function_url.rs", ["LONGEST_BODY"], "bytes", "status 413"),
        ("runs on a page of `list`", "../functions/control/src/lib.rs", ["LISTED"], "", "`next`"),
        ("a message of SNS or SQS that is read", "events/src/wrapping.rs", ["LONGEST_TEXT"], "bytes", "ignored; metric `DroppedEvents`"),
        ("messages inside messages", "events/src/wrapping.rs", ["DEEPEST"], "levels", "ignored; metric `DroppedEvents`"),
        ("records of one input", "events/src/wrapping.rs", ["MOST_RECORDS"], "", "ignored; metric `DroppedEvents`"),
        ("message of a failed CodePipeline action", "aws/src/codepipeline.rs", ["MESSAGE_LIMIT"], "characters", "cut"),
        ("summary of a CodePipeline action", "aws/src/codepipeline.rs", ["SUMMARY_LIMIT"], "characters", "cut"),
    ],
    "limits-suite": [
        ("changes of an alarm that make it flapping", "domain/src/alarm/record.rs", ["FLAPS"], "", ""),
        ("time for these changes", "domain/src/alarm/record.rs", ["FLAP_WINDOW"], "", ""),
        ("time without a change until a flapping alarm has settled", "domain/src/alarm/record.rs", ["SETTLED_AFTER"], "", ""),
        ("`at-most-every` without the key", "domain/src/alarm/remedy/kind.rs", ["DEFAULT_AT_MOST_EVERY"], "", ""),
        ("pause by `pause-starts`", "domain/src/alarm/pause.rs", ["LONGEST_PAUSE"], "", "launches continue; message `pause-ended`"),
        ("distance of two starts of one backup", "domain/src/backup/schedule.rs", ["SAME_SLOT_WITHIN"], "", "a closer start is ignored"),
        ("drain after a rebalance recommendation, without tasks", "domain/src/instance/decide.rs", ["ADVICE_FOR"], "", "the instance takes tasks again"),
        ("drain after a rebalance recommendation, with tasks", "domain/src/instance/decide.rs", ["ADVICE_AT_MOST"], "", "it stays drained; message `instance-drained`"),
    ],
    "limits-records": [
        ("runs and builds, after their end", "engine/src/records/run.rs", ["KEEP"], "", "`show` and `retry` do not find them"),
        ("last results of a branch, after its last run", "domain/src/run/standing.rs", ["KEEP"], "", "the next success is not reported as a recovery"),
        ("alarms, after their last event", "domain/src/alarm/record.rs", ["KEEP"], "", ""),
        ("backups, after their last event", "domain/src/backup/record.rs", ["KEPT"], "", ""),
        ("instances, after their last event", "domain/src/instance/record.rs", ["KEEP"], "", ""),
    ],
}
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
        text += wrapped(f"As in `{WHOLE}`: {', '.join(same)}.")
    return text.rstrip("\n") + "\n"


def outputs(template):
    """The table of a template's outputs. Those without a description are only named: their names say it all."""
    rows, plain = [], []
    for name, output in sorted(template.document["Outputs"].items()):
        if "Description" in output:
            present = PRESENT[output["Condition"]] if "Condition" in output else "always"
            rows.append([code(name), present, cell(output["Description"])])
        else:
            plain.append(code(name) + (f" ({PRESENT[output['Condition']]})" if "Condition" in output else ""))
    text = table(["Output", "Present", "Meaning"], rows)
    return text + ("\n" + wrapped(f"Also: {', '.join(plain)}.") if plain else "")


def threshold(alarm):
    """When an alarm is in ALARM, such as `Errors` > 0, 2 of 3 periods of 5 min."""
    periods, of = alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"]), alarm["EvaluationPeriods"]
    said = "" if of == 1 else f"{periods} of {of} periods of "
    missing = "; no data counts as over it" if alarm["TreatMissingData"] == "breaching" else ""
    return f"{code(alarm['MetricName'])} {COMPARISONS[alarm['ComparisonOperator']]} {alarm['Threshold']}, {said}{time(alarm['Period'])}{missing}"


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
        short = function["FunctionName"]["Fn::Sub"].removeprefix("${Suite}-")
        if name in behind_urls(template):
            limits_of_events = ["none", "its callers wait"]
        else:
            retries = template.properties(f"{name}EventInvokeConfig")
            limits_of_events = [str(retries["MaximumRetryAttempts"]), time(retries["MaximumEventAgeInSeconds"])]
        rows.append([code(short), f"{function['Timeout']} s", f"{function['MemorySize']} MB", *limits_of_events])
    return table(["Function", "Timeout", "Memory", "Retries", "Maximum age of an event"], rows)


def agents(template):
    """The agents that agents.yaml makes."""
    configuration = json.dumps(template.document["Outputs"]["SuiteConfiguration"])
    rows = []

    def add(name, size, disk):
        of_agent = configuration.split(f"  {name}:")[1].split("logs:")[0]
        restricted = "yes" if "restricted: true" in of_agent else "no"
        capacity = "CodeBuild" if "codebuild:" in of_agent else "Spot, on-demand" if "spot:" in of_agent else "on-demand"
        rows.append([code(name), size, disk, capacity, restricted, RIGHTS[name]])

    tasks = template.of_type("AWS::ECS::TaskDefinition")
    for task in sorted(tasks.values(), key=lambda task: list(RIGHTS).index(task["Family"]["Fn::Sub"].removeprefix("${AgentFamilyPrefix}"))):
        size = f"{int(task['Cpu']) / 1024:g} vCPU, {int(task['Memory']) // 1024} GB"
        disk = "`LargeAgentStorage`" if "EphemeralStorage" in task else "20 GiB"
        add(task["Family"]["Fn::Sub"].removeprefix("${AgentFamilyPrefix}"), size, disk)
    add("docker", code(template.properties("DockerProject")["Environment"]["ComputeType"]), "CodeBuild's")
    return table(["Agent", "Size", "Disk", "Capacity", "Restricted", "Further rights"], rows)


def variables(template):
    """The variables of every function's environment, as a set of names for each."""
    return {name: set(function["Environment"]["Variables"]) for name, function in template.of_type("AWS::Lambda::Function").items()}


def constant(file, name):
    """The value of a constant in a file of shared/: a number, a timespan in seconds, or a range."""
    text = (ROOT / "shared" / file).read_text()
    found = re.search(rf"const {name}: ([A-Za-z0-9<>]+) =\s*([^;]+);", text)
    if not found:
        raise KeyError(f"shared/{file} has no constant {name}")
    kind, value = found.groups()
    span = re.fullmatch(r"(?:Signed)?Duration::from_(secs|millis|hours)\(([^()]+)\)", value)
    if span:
        return timedelta(**{{"secs": "seconds", "millis": "milliseconds", "hours": "hours"}[span[1]]: number(span[2])})
    if kind.startswith("RangeInclusive"):
        return range(*map(number, value.split("..=")))
    return number(value)


def number(text):
    """A product of numbers, as Rust writes it."""
    return prod(int(factor.replace("_", "")) for factor in text.split("*"))


def amount(value, unit):
    """A limit as people read it."""
    if unit == "seconds":
        value, unit = timedelta(seconds=value), ""
    if isinstance(value, range):
        return f"{value.start} to {value.stop:,}"
    if isinstance(value, timedelta):
        seconds = int(value.total_seconds())
        for size, word in ((86400, "days"), (3600, "h"), (60, "min")):
            # A day is 24 h in the files.
            if seconds % size == 0 and seconds > (size if word == "days" else 0):
                return f"{seconds // size} {word}"
        return f"{seconds} s"
    if unit == "bytes":
        for size, word in ((1024**2, "MiB"), (1024, "KiB")):
            if value % size == 0:
                return f"{value // size} {word}"
    if unit == "count":
        unit = "bytes"
    return f"{value:,} {unit}".strip()


def limits(rows):
    cells = []
    for what, file, names, unit, beyond in rows:
        cells.append([what, " to ".join(amount(constant(file, name), unit) for name in names), beyond])
    return table(["What", "Limit", "Beyond it"], cells)


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
    parts["agents"] = agents(templates["agents.yaml"])
    parts["functions"] = functions(templates[SUITE.name])
    parts.update((name, limits(rows)) for name, rows in LIMITS.items())
    return parts


def pages():
    """The pages with computed parts as they are and as they should be, and the parts that no page has."""
    changes, common = {}, computed()
    missing = set(common)
    for page in sorted(PAGES.glob("*.md")):
        own = schema_tables.of(page.stem)
        places = {name for _, name, _, _ in PART.findall(page.read_text())}
        missing = (missing | {f"{page.name}: {name}" for name in own.keys() - places}) - places
        # Other parts are computed elsewhere.
        parts = {**common, **own}
        text = page.read_text()
        current = PART.sub(lambda match, parts=parts: f"{match[1]}\n{parts[match[2]]}\n{match[4]}" if match[2] in parts else match[0], text)
        changes[page] = (text, current)
    return changes, missing


def main():
    changes, missing = pages()
    if missing:
        raise SystemExit(f"no page has the parts {', '.join(sorted(missing))}")
    for page, (_, text) in changes.items():
        page.write_text(text)


if __name__ == "__main__":
    main()
