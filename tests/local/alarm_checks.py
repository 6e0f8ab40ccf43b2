"""What holds for alarms and the dashboard: that they look at what is there, in time, and that people get their messages."""

import json
import re
from functools import lru_cache

from infra import ROOT, Template, as_list, assume, attribute_of, behind_urls, given, reference_of

# What each kind of alarm is, by the end of its name: the metric, its statistic, when it is too much or too little and by which threshold (from, to),
# what no data means, and the seconds (from, to) that it looks at.
ALARMS = {
    "DeadLetterAlarm": ("AWS/SQS ApproximateNumberOfMessagesVisible", "Maximum", "GreaterThanThreshold", (0, 0), "notBreaching", (60, 300)),
    "ErrorsAlarm": ("AWS/Lambda Errors", "Sum", "GreaterThanThreshold", (0, 3), "notBreaching", (300, 1800)),
    "ThrottlesAlarm": ("AWS/Lambda Throttles", "Sum", "GreaterThanThreshold", (0, 3), "notBreaching", (60, 900)),
    # The sweep runs each minute. Only what is missing for minutes is, and where nothing runs there is no data.
    "SweepMissingAlarm": ("AWS/Events Invocations", "Sum", "LessThanThreshold", (1, 1), "breaching", (180, 600)),
    "OverdueAlarm": ("Bellhop OldestOverdueSeconds", "Maximum", "GreaterThanThreshold", (180, 900), "notBreaching", (180, 900)),
}
# What the parameter Monitoring has by default: the functions whose lost events nothing repairs, and what is looked at beside.
BASIC = {
    *(f"{function}DeadLetterAlarm" for function in ("Push", "Alarm", "Pipeline", "Control", "Backup", "Sweep")),
    "SweepMissingAlarm",
    "OverdueAlarm",
}
# The kinds that there are once for each function, except for those behind a URL.
OF_EACH_FUNCTION = ("DeadLetterAlarm", "ErrorsAlarm", "ThrottlesAlarm")


def alarms(template):
    """Alarms that would come too late, too often or never, or look at something else than their name says."""
    found = []
    for name, alarm in template.of_type("AWS::CloudWatch::Alarm").items():
        [kind] = [kind for kind in ALARMS if name.endswith(kind)] or [None]
        if kind is None:
            found.append(f"{name}: an alarm of no kind that `ALARMS` knows")
            continue
        metric, statistic, comparison, thresholds, missing, seconds = ALARMS[kind]
        for what, is_, wanted in (
            ("metric", f"{alarm.get('Namespace')} {alarm.get('MetricName')}", metric),
            ("Statistic", alarm.get("Statistic"), statistic),
            ("ComparisonOperator", alarm.get("ComparisonOperator"), comparison),
            ("TreatMissingData", alarm.get("TreatMissingData", "missing"), missing),
            ("ActionsEnabled", alarm.get("ActionsEnabled", True), True),
        ):
            if is_ != wanted:
                found.append(f"{name}: {what} is {is_}, and should be {wanted}")
        for what, is_, (least, most) in (
            ("Threshold", alarm.get("Threshold"), thresholds),
            ("Period by EvaluationPeriods", alarm["Period"] * alarm["EvaluationPeriods"], seconds),
        ):
            if is_ is None or not least <= is_ <= most:
                found.append(f"{name}: {what} is {is_}, and should be from {least} to {most}")
        if alarm["Namespace"].startswith("AWS/"):
            # Timers invoke the sweep as well, so its own invocations would not show that its rule is off.
            of = "SweepFunctionEveryMinute"
            if kind != "SweepMissingAlarm":
                of = name.removesuffix(kind) + ("DeadLetterQueue" if kind == "DeadLetterAlarm" else "Function")
            looks_at = [reference_of(dimension["Value"]) or attribute_of(dimension["Value"], "QueueName") for dimension in alarm.get("Dimensions", [])]
            if looks_at != [of]:
                found.append(f"{name}: looks at {looks_at}, and should at {of}")
    functions = template.of_type("AWS::Lambda::Function")
    # Who calls a function by its URL sees what fails.
    wanted = {name.removesuffix("Function") + kind for name in functions if name not in behind_urls(template) for kind in OF_EACH_FUNCTION}
    if functions:
        wanted |= ALARMS.keys() - set(OF_EACH_FUNCTION)
    found += [f"no {name}" for name in sorted(wanted - template.of_type("AWS::CloudWatch::Alarm").keys())]
    return found


# The metrics of AWS's own that there are, as far as anything here may look at them.
METRICS_OF_AWS = {
    "AWS/Events": {"FailedInvocations", "Invocations"},
    "AWS/Lambda": {"ConcurrentExecutions", "Duration", "Errors", "Invocations", "IteratorAge", "Throttles"},
    "AWS/SQS": {"ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible", "NumberOfMessagesReceived", "NumberOfMessagesSent"},
}


# Capacities whose price is not by the hour of an agent: an execution of Step Functions costs by its steps, and by what they use.
UNPRICED = {"step-functions"}


@lru_cache(maxsize=None)
def written_metrics():
    """The metrics that the functions write: the sets of dimensions of each, by its name."""
    text = (ROOT / "shared" / "runtime" / "src" / "metrics.rs").read_text().partition("#[cfg(test)]")[0]
    [namespace] = re.findall(r'const NAMESPACE: &str = "(\w+)"', text)
    names = dict(re.findall(r'Measure::(\w+)(?:\([^)]*\))? => \("(\w+)", "\w+"', text))
    dimensions = dict.fromkeys(names, ())
    for arm in re.findall(r"Measure::(\w+)(?:\([^)]*\))? => (\{.*?\n        \}|own\.push[^\n]*)", text, re.DOTALL):
        dimensions[arm[0]] = re.findall(r'\("([A-Z]\w*)",', arm[1])
    return namespace, {name: [{"Suite"}, *({"Suite", own} for own in dimensions[measure])] for measure, name in names.items()}


@lru_cache(maxsize=None)
def words(file):
    """The words of the `as_str` of an enumeration in shared/domain."""
    return frozenset(re.findall(r'Self::\w+ => "([a-z-]+)"', (ROOT / "shared" / "domain" / "src" / file).read_text()))


@lru_cache(maxsize=None)
def own_capacities():
    """The names of the executors in shared/domain whose agents run on machines of their own."""
    files = [file.read_text() for file in sorted((ROOT / "shared" / "domain" / "src" / "executor").rglob("*.rs"))]
    return frozenset(name for text in files if "Capacity::Own(NAME)" in text for name in re.findall(r'const NAME: &str = "([a-z-]+)"', text))


def looked_at(template):
    """The metrics that alarms and dashboards look at: where, namespace, name, dimensions with their values as far as they are known."""
    for name, alarm in template.of_type("AWS::CloudWatch::Alarm").items():
        yield name, alarm["Namespace"], alarm["MetricName"], {dimension["Name"]: None for dimension in alarm.get("Dimensions", [])}
    for name, dashboard in template.of_type("AWS::CloudWatch::Dashboard").items():
        body = dashboard["DashboardBody"]["Fn::Sub"]
        for widget in json.loads(body if isinstance(body, str) else body[0])["widgets"]:
            where = f"{name}, {widget['properties'].get('title')}"
            for metric in widget["properties"].get("metrics", []):
                if isinstance(metric[0], dict):
                    for schema, searched in re.findall(r"""SEARCH\('\{([^}]*)\} MetricName="(\w+)\"""", metric[0].get("expression", "")):
                        namespace, *dimensions = schema.split(",")
                        yield where, namespace, searched, dict.fromkeys(dimensions)
                    continue
                namespace, metric_name, *rest = [item for item in metric if isinstance(item, str)]
                yield where, namespace, metric_name, dict(zip(rest[::2], rest[1::2], strict=True))


def metrics(template):
    """Alarms and widgets that look at what nobody writes, and words of outcomes and capacities that no widget shows."""
    namespace, written = written_metrics()
    known = {"Outcome": words("outcome.rs"), "Capacity": words("executor/capacity.rs") | own_capacities()}
    shown = {}
    found = []
    for where, of, name, dimensions in looked_at(template):
        if of != namespace:
            if name not in METRICS_OF_AWS.get(of, ()):
                found.append(f"{where}: {of} has no {name}")
            continue
        if set(dimensions) not in written.get(name, []):
            found.append(f"{where}: nobody writes {name} by {', '.join(dimensions)}")
        for dimension, value in dimensions.items():
            if value is not None and dimension in known:
                shown.setdefault((where, dimension), set()).add(value)
    for (where, dimension), values in shown.items():
        found += [f"{where}: {value} is no {dimension}" for value in sorted(values - known[dimension])]
        wanted = known[dimension] - UNPRICED if "Cost" in where else known[dimension]
        found += [f"{where}: no {value}" for value in sorted(wanted - values)]
    return found


def lets_cloudwatch(document, actions):
    """Whether a policy lets CloudWatch do all of this."""
    allowed = set()
    for statement in as_list(document["Statement"]):
        principal = statement.get("Principal")
        services = as_list(principal.get("Service", [])) if isinstance(principal, dict) else []
        if statement["Effect"] == "Allow" and "cloudwatch.amazonaws.com" in services:
            allowed |= {action.rstrip("*") for action in as_list(statement["Action"])}
    return set(actions) <= allowed


def monitoring(template):
    """Alarms that a level of monitoring lacks or has without need, and alarms that a rule brings to the function although they publish, or does not."""
    every = template.of_type("AWS::CloudWatch::Alarm")
    if not every:
        return []
    found = []
    for level, wanted, dashboards in (("basic", BASIC, 0), ("full", every.keys(), 1)):
        with_level = given(template, {"Suite": "bellhop", "Monitoring": level})
        there = with_level.of_type("AWS::CloudWatch::Alarm").keys()
        found += [f"{level}: no {name}" for name in sorted(wanted - there)] + [f"{level}: {name}" for name in sorted(there - wanted)]
        if len(with_level.of_type("AWS::CloudWatch::Dashboard")) != dashboards:
            found.append(f"{level}: not {dashboards} dashboards")
    for name, alarm in every.items():
        begins = "${Suite}-direct-" if "AlarmActions" in alarm else "${Suite}-own-"
        if not alarm.get("AlarmName", {}).get("Fn::Sub", "").startswith(begins):
            found.append(f"{name}: its name does not begin with {begins}")
    return found


def alarms_publish(template):
    """Topics that alarms are to publish to and cannot, with a customer key or without: CloudWatch would lose the messages silently."""
    return [line for holds in (True, False) for line in publishing(assumed(template, holds))]


def assumed(template, holds):
    """A template as it is when every condition holds, or none."""
    resources = {name: assume(resource, holds) for name, resource in template.resources.items() if holds or "Condition" not in resource}
    return Template(template.name, {**template.document, "Resources": resources})


def publishing(template):
    """The same for a template without conditions."""
    found = []
    alarms_of = {}
    for name, alarm in template.of_type("AWS::CloudWatch::Alarm").items():
        for key in ("AlarmActions", "OKActions", "InsufficientDataActions"):
            for action in alarm.get(key, []):
                alarms_of.setdefault(reference_of(action), name)
    for name, topic in template.of_type("AWS::SNS::Topic").items():
        if name not in alarms_of:
            continue
        if "KmsMasterKeyId" in topic:
            key = reference_of(topic["KmsMasterKeyId"])
            if key not in template.of_type("AWS::KMS::Key"):
                found.append(f"{name}: {alarms_of[name]} cannot publish under a key that is not the stack's")
            elif not lets_cloudwatch(template.properties(key)["KeyPolicy"], ("kms:Decrypt", "kms:GenerateDataKey")):
                found.append(f"{key}: does not let {alarms_of[name]} publish to {name}")
        for policy, properties in template.of_type("AWS::SNS::TopicPolicy").items():
            topics = [reference_of(of) for of in properties["Topics"]]
            if name in topics and not lets_cloudwatch(properties["PolicyDocument"], ("sns:Publish",)):
                found.append(f"{policy}: does not let {alarms_of[name]} publish to {name}")
    if template.of_type("AWS::SNS::Topic") and not alarms_of:
        found.append("no alarm publishes to a topic, so that nobody hears of a suite that stands still")
    return found
