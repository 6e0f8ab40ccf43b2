"""The templates of infra/ as CloudFormation gets them, and what checks ask of one."""

import copy
import json
import logging
import re
from functools import lru_cache
from pathlib import Path

import check_template

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "infra").glob("*.yaml"))
# Those of applications that a suite deploys.
SOLUTIONS = sorted((ROOT / "infra" / "solutions").glob("*.yaml"))
# It warns of metrics that it would like to send.
logging.getLogger("samtranslator").setLevel(logging.ERROR)
# The one with the functions.
SUITE = ROOT / "infra" / "template.yaml"
# Where the local AWS has everything.
REGION, ACCOUNT = "us-east-1", "000000000000"
# Functions with the program and the role of another one.
PROGRAMS = {"control-url": "control"}
# Where the sample events come from.
SAMPLE_ACCOUNT = "123456789012"
PSEUDO = {
    "AWS::Region": REGION,
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}


@lru_cache(maxsize=None)
def expanded(path):
    """The text of what the SAM transform makes of a template."""
    return json.dumps(check_template.expand(path))


class Template:
    """A template after the SAM transform. Its document may be changed: it is nobody else's."""

    def __init__(self, name, document):
        self.name = name
        self.document = document

    @classmethod
    def read(cls, path):
        return cls(path.name, json.loads(expanded(path)))

    def copy(self):
        return Template(self.name, copy.deepcopy(self.document))

    @property
    def resources(self):
        return self.document["Resources"]

    def properties(self, name):
        return self.resources[name].setdefault("Properties", {})

    def of_type(self, kind):
        """The properties of the resources of a type, by their names."""
        return {name: resource.get("Properties", {}) for name, resource in self.resources.items() if resource["Type"] == kind}

    def defaults(self):
        """The values of the parameters when nobody gives any; those without a default are missing."""
        lists = ("CommaDelimitedList", "List<")
        return {
            name: parameter["Default"].split(",") if parameter["Type"].startswith(lists) else parameter["Default"]
            for name, parameter in self.document.get("Parameters", {}).items()
            if "Default" in parameter
        }

    def patterns(self, **parameters):
        """The event patterns of the enabled rules, by the rules' names, with these parameters and the defaults of the others, in a suite named
        bellhop in the account of the sample events."""
        values = {"Suite": "bellhop", "AWS::AccountId": SAMPLE_ACCOUNT, **self.defaults(), **parameters}
        return {
            name: resolve(rule["EventPattern"], values)
            for name, rule in given(self, values).of_type("AWS::Events::Rule").items()
            if "EventPattern" in rule and resolve(rule.get("State", "ENABLED"), values) == "ENABLED"
        }


def resolve(node, parameters):
    """What CloudFormation makes of a part of a template that uses parameters alone."""
    if isinstance(node, list):
        return [resolve(item, parameters) for item in node]
    if not isinstance(node, dict):
        return node
    if len(node) == 1:
        [(name, of)] = node.items()
        if name == "Ref":
            return parameters[of]
        if name == "Fn::Join":
            delimiter, items = resolve(of, parameters)
            return delimiter.join(items)
        if name == "Fn::Split":
            delimiter, text = resolve(of, parameters)
            return text.split(delimiter)
        if name == "Fn::Sub":
            text, own = (of, {}) if isinstance(of, str) else (of[0], resolve(of[1], parameters))
            return re.sub(r"\$\{([^}]+)\}", lambda found: own[found[1]] if found[1] in own else parameters[found[1]], text)
        if name.startswith("Fn::"):
            raise ValueError(f"{name} depends on more than parameters")
    return {name: resolve(item, parameters) for name, item in node.items()}


def assume(node, holds):
    """A part of a template as it is when every condition holds, or none."""
    if isinstance(node, list):
        items = [assume(item, holds) for item in node]
        return [item for item in items if item != {"Ref": "AWS::NoValue"}]
    if not isinstance(node, dict):
        return node
    if node.keys() == {"Fn::If"}:
        _, then, otherwise = node["Fn::If"]
        return assume(then if holds else otherwise, holds)
    assumed = {key: assume(item, holds) for key, item in node.items()}
    return {key: item for key, item in assumed.items() if item != {"Ref": "AWS::NoValue"}}


def given(template, parameters):
    """A template as it is with these parameters and the defaults of the others: without conditions."""
    parameters = {"AWS::Partition": "aws", "AWS::Region": REGION, **template.defaults(), **parameters}
    conditions = template.document.get("Conditions", {})

    def holds(node):
        [(name, of)] = node.items()
        if name == "Condition":
            return holds(conditions[of])
        if name == "Fn::Equals":
            first, second = resolve(of, parameters)
            return first == second
        return {"Fn::Not": lambda nodes: not any(nodes), "Fn::And": all, "Fn::Or": any}[name]([holds(item) for item in of])

    def without(node):
        if isinstance(node, list):
            items = [without(item) for item in node]
            return [item for item in items if item != {"Ref": "AWS::NoValue"}]
        if not isinstance(node, dict):
            return node
        if node.keys() == {"Fn::If"}:
            condition, then, otherwise = node["Fn::If"]
            return without(then if holds(conditions[condition]) else otherwise)
        return {key: without(item) for key, item in node.items()}

    kept = {
        name: without(resource)
        for name, resource in template.resources.items()
        if "Condition" not in resource or holds(conditions[resource["Condition"]])
    }
    outputs = {name: without(output) for name, output in template.document.get("Outputs", {}).items()}
    return Template(template.name, {**template.document, "Resources": kept, "Outputs": outputs})


# The ARN of a resource, by its type.
ARNS = {
    "AWS::CloudWatch::Alarm": "arn:aws:cloudwatch:{region}:{account}:alarm:{id}",
    "AWS::DynamoDB::Table": "arn:aws:dynamodb:{region}:{account}:table/{id}",
    "AWS::ECR::Repository": "arn:aws:ecr:{region}:{account}:repository/{id}",
    "AWS::Events::Rule": "arn:aws:events:{region}:{account}:rule/{id}",
    "AWS::IAM::Role": "arn:aws:iam::{account}:role{path}{id}",
    "AWS::KMS::Key": "arn:aws:kms:{region}:{account}:key/{id}",
    "AWS::Lambda::Function": "arn:aws:lambda:{region}:{account}:function:{id}",
    "AWS::Logs::LogGroup": "arn:aws:logs:{region}:{account}:log-group:{id}:*",
    "AWS::S3::Bucket": "arn:aws:s3:::{id}",
    "AWS::SQS::Queue": "arn:aws:sqs:{region}:{account}:{name}",
}


class Promise:
    """What a template says once the resources have ids, with every condition true; or as it is given where that is without any, see `given`."""

    def __init__(self, template, parameters, ids):
        self.resources = {name: assume(resource, True) for name, resource in template.resources.items()}
        self.parameters = {**PSEUDO, **template.defaults(), **parameters}
        self.ids = ids

    def properties(self, name):
        return self.value(self.resources[name].get("Properties", {}))

    def attribute(self, name, attribute):
        resource, of = self.resources[name], self.ids[name]
        short = of.rpartition("/")[2]
        if attribute == "Arn":
            path = resource.get("Properties", {}).get("Path", "/")
            return ARNS[resource["Type"]].format(region=REGION, account=ACCOUNT, id=of, name=short, path=path)
        if (resource["Type"], attribute) == ("AWS::SQS::Queue", "QueueName"):
            return short
        raise KeyError(f"{attribute} of a {resource['Type']}")

    def reference(self, name):
        return self.parameters[name] if name in self.parameters else self.ids[name]

    def value(self, node):
        if isinstance(node, list):
            return [self.value(item) for item in node]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            [(function, of)] = node.items()
            if function == "Ref":
                return self.reference(of)
            if function == "Fn::GetAtt":
                return self.attribute(*of)
            if function == "Fn::Sub":
                text, given = (of[0], self.value(of[1])) if isinstance(of, list) else (of, {})
                text = re.sub(r"\$\{([^}!]+)\}", lambda found: str(self.named(found[1], given)), text)
                # ${!NAME} is for somebody else, who gets it as ${NAME}.
                return text.replace("${!", "${")
            if function in ("Fn::Join", "Fn::Split", "Fn::Select"):
                first, second = self.value(of)
                return {"Fn::Join": lambda: first.join(second), "Fn::Split": lambda: second.split(first), "Fn::Select": lambda: second[int(first)]}[function]()
        return {key: self.value(item) for key, item in node.items()}

    def named(self, name, given):
        if name in given:
            return given[name]
        resource, dot, attribute = name.partition(".")
        return self.attribute(resource, attribute) if dot else self.reference(name)


def attribute_of(node, attribute="Arn"):
    """The resource whose attribute this is, or nothing where it is no such attribute."""
    if isinstance(node, dict) and isinstance(node.get("Fn::GetAtt"), list):
        [name, found] = node["Fn::GetAtt"]
        if found == attribute:
            return name
    return None


def reference_of(node):
    """The resource or parameter that this refers to, by name or by ARN."""
    if isinstance(node, dict) and isinstance(node.get("Ref"), str):
        return node["Ref"]
    return attribute_of(node)


def behind_urls(template):
    """The functions that function URLs invoke, by their names in the template. Who calls them waits for the answer: nothing is retried or kept."""
    return {reference_of(url["TargetFunctionArn"]) for url in template.of_type("AWS::Lambda::Url").values()}


def as_list(node):
    return node if isinstance(node, list) else [node]


def walk(node, path=()):
    """Every part of a document with its path, itself first."""
    yield path, node
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, item in items:
        yield from walk(item, (*path, key))
