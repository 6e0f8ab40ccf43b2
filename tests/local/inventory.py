"""What the stack of infra/bellhop.yaml consists of, for each choice of its parameters that docs/explanation/cost.md has a price for.

    python inventory.py        writes docs/explanation/cost/resources.json, from which `cargo xtask cost` computes the bill

The templates are taken after the SAM transform, with their conditions evaluated and their nested stacks followed: what is counted is what CloudFormation
creates. docs/explanation/cost/choices.json names the parameters of each choice.
"""

import json
import sys
from collections import Counter
from datetime import datetime, timezone

from aws_croniter import AwsCroniter

import check_template
from infra import PSEUDO, ROOT, TEMPLATES, Promise, Template, given

# The template that nests the others.
WHOLE = "bellhop.yaml"
CHOICES = ROOT / "docs/explanation/cost/choices.json"
RESOURCES = ROOT / "docs/explanation/cost/resources.json"
STACK = "AWS::CloudFormation::Stack"
LISTS = ("CommaDelimitedList", "List<")
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-task-storage.html
FREE_DISK_GB = 20
NO_VALUE = {"Ref": "AWS::NoValue"}


class Known(Promise):
    """What a template without conditions says before anything of it exists: parameters and the outputs of nested stacks have values, and any other
    reference stands for itself."""

    def __init__(self, template, parameters):
        super().__init__(template, parameters, {})
        self.nested = {}

    def reference(self, name):
        return NO_VALUE if name == "AWS::NoValue" else self.parameters.get(name, f"${{{name}}}")

    def value(self, node):
        if isinstance(node, dict) and node.keys() == {"Fn::Select"}:
            index, items = super().value(node["Fn::Select"])
            # Zones and address ranges are known once there is a VPC.
            return items[int(index)] if isinstance(items, list) else node
        return super().value(node)

    def attribute(self, name, attribute):
        output = attribute.removeprefix("Outputs.")
        return self.nested.get(name, {}).get(output, f"${{{name}.{attribute}}}")


class Stack:
    """A stack of one of the templates, with the stacks that it nests."""

    def __init__(self, templates, name, parameters):
        template = templates[name]
        declared = template.document.get("Parameters", {})
        unknown = sorted(parameters.keys() - declared.keys())
        if unknown:
            raise ValueError(f"{name} has no parameter {', '.join(unknown)}")
        values = {**PSEUDO, "AWS::StackName": "bellhop", **template.defaults()}
        for parameter, value in parameters.items():
            allowed = declared[parameter].get("AllowedValues", [value])
            if str(value) not in map(str, allowed):
                raise ValueError(f"{name} does not take {value} for {parameter}")
            is_list = declared[parameter]["Type"].startswith(LISTS) and isinstance(value, str)
            values[parameter] = value.split(",") if is_list else value
        self.template = given(template, values)
        self.known = Known(self.template, values)
        self.nested = {}
        waiting = {key: resource["Properties"] for key, resource in self.template.resources.items() if resource["Type"] == STACK}
        # A stack whose parameters take outputs of another comes after it.
        while waiting:
            ready = [key for key, properties in waiting.items() if not taken_from(properties, waiting.keys() - {key})]
            if not ready:
                raise ValueError(f"{name}: {', '.join(waiting)} wait for each other")
            for key in ready:
                properties = waiting.pop(key)
                passed = {parameter: self.known.value(value) for parameter, value in properties.get("Parameters", {}).items()}
                passed = {parameter: value for parameter, value in passed.items() if value != NO_VALUE}
                self.nested[key] = Stack(templates, properties["TemplateURL"].rpartition("/")[2], passed)
                self.known.nested[key] = self.nested[key].outputs()

    def outputs(self):
        return {name: self.known.value(output["Value"]) for name, output in self.template.document.get("Outputs", {}).items()}

    def all(self):
        """Every resource of it and of the stacks that it nests: its type and its properties."""
        for name, resource in self.template.resources.items():
            yield resource["Type"], self.known.properties(name)
        for nested in self.nested.values():
            yield from nested.all()

    def of_type(self, kind):
        return [properties for found, properties in self.all() if found == kind]


def taken_from(node, names):
    """Whether a part of a template takes an attribute of one of these resources."""
    if isinstance(node, list):
        return any(taken_from(item, names) for item in node)
    if not isinstance(node, dict):
        return False
    if node.keys() == {"Fn::GetAtt"}:
        return node["Fn::GetAtt"][0] in names
    return any(taken_from(item, names) for item in node.values())


def read():
    """The templates by their names. A nested one is named as it is before it is packaged."""
    templates = {path.name: Template.read(path) for path in TEMPLATES}
    written = check_template.read(ROOT / "infra" / WHOLE)["Resources"]
    for name, resource in templates[WHOLE].resources.items():
        if resource["Type"] == STACK:
            resource["Properties"]["TemplateURL"] = written[name]["Properties"]["TemplateURL"]
    return templates


def billed(kind, properties):
    """Under which name a resource is billed, and how many times: an interface endpoint costs for each subnet that it is in."""
    if kind != "AWS::EC2::VPCEndpoint":
        return kind, 1
    how = properties.get("VpcEndpointType", "Gateway")
    return f"{kind} {how}", len(properties["SubnetIds"]) if how == "Interface" else 1


def days_between(schedule):
    """How many days lie between two times of a schedule."""
    [first, second] = AwsCroniter(schedule.removeprefix("cron(").removesuffix(")")).get_next(datetime(2026, 1, 1, tzinfo=timezone.utc), 2)
    return (second - first).total_seconds() / 86400


def keys(stack):
    """What is encrypted with a key of KMS whose requests are billed: not with a key that AWS owns, as a table is by default."""
    table = any(properties.get("SSESpecification", {}).get("SSEEnabled", False) for properties in stack.of_type("AWS::DynamoDB::Table"))
    topic = any(properties.get("KmsMasterKeyId", NO_VALUE) != NO_VALUE for properties in stack.of_type("AWS::SNS::Topic"))
    bucket = "aws:kms" in json.dumps(stack.of_type("AWS::S3::Bucket"))
    images = any(properties.get("EncryptionConfiguration", {}).get("EncryptionType") == "KMS" for properties in stack.of_type("AWS::ECR::Repository"))
    return {"table": table, "topic": topic, "bucket": bucket, "images": images}


def counted(stack):
    """How many resources there are, by the names under which they are billed."""
    found = Counter()
    for kind, properties in stack.all():
        name, times = billed(kind, properties)
        found[name] += times
    return found


def agents(stack):
    """The stack of the agents."""
    [found] = [nested for name, nested in stack.nested.items() if name == "Agents"]
    return found


def size(task):
    """How large the agents of a task definition are. Fargate bills what their disk has beyond its own 20 GiB."""
    disk = task.get("EphemeralStorage", {}).get("SizeInGiB", FREE_DISK_GB)
    return {"vcpu": int(task["Cpu"]) / 1024, "gb": int(task["Memory"]) / 1024, "billed_disk_gb": disk - FREE_DISK_GB}


def plan_copies(stack):
    """How many recovery points the plans of AWS Backup keep of what they select."""
    rules = [rule for plan in stack.of_type("AWS::Backup::BackupPlan") for rule in plan["BackupPlan"]["BackupPlanRule"]]
    return sum(rule["Lifecycle"]["DeleteAfterDays"] / days_between(rule["ScheduleExpression"]) for rule in rules)


def types(templates):
    """Every name under which a resource may be billed, under any condition."""
    found = set()
    for template in templates.values():
        for resource in template.resources.values():
            found.add(billed(resource["Type"], {"SubnetIds": [], **resource.get("Properties", {})})[0])
    return sorted(found)


def computed(templates, choices):
    """What docs/explanation/cost/resources.json says. The first choice changes nothing, and the others are counted against it."""
    stacks, made = {}, []
    for entry in choices:
        beside = stacks.get(entry.get("beside"))
        parameters = {**(beside[0] if beside else {}), **entry["parameters"]}
        stacks[entry["name"]] = parameters, Stack(templates, WHOLE, parameters)
    default = stacks[choices[0]["name"]][1]
    for entry in choices:
        stack = stacks[entry["name"]][1]
        more = counted(stack)
        more.subtract(counted(default))
        made.append(
            {
                **entry,
                "keys": keys(stack),
                "public_addresses": agents(stack).known.parameters["AssignPublicIp"] == "true",
                "more": {name: times for name, times in sorted(more.items()) if times},
            }
        )
    [memory] = {function["MemorySize"] for function in default.of_type("AWS::Lambda::Function")}
    return {
        "types": types(templates),
        "memory_mb": memory,
        "backup_every_days": days_between(default.known.parameters["BackupSchedule"]),
        "plan_copies": plan_copies(default),
        "agents": {task["Family"]: size(task) for task in sorted(default.of_type("AWS::ECS::TaskDefinition"), key=lambda task: task["Family"])},
        "resources": dict(sorted(counted(default).items())),
        "choices": made,
    }


def text():
    """The text of docs/explanation/cost/resources.json."""
    return json.dumps(computed(read(), json.loads(CHOICES.read_text())), indent=2) + "\n"


def main():
    RESOURCES.write_text(text())


if __name__ == "__main__":
    sys.exit(main())
