"""The roles and the resources' policies of templates, and what they allow: evaluated by iam-simulate (node/package.json), which is somebody else's. It knows
IAM's rules, and from AWS's authorisation reference the actions, their resources, and the keys that conditions may ask for. It runs as a program of its own.
"""

import copy
import json
import os
import subprocess
from typing import NamedTuple

from infra import ACCOUNT, REGION, ROOT, Promise, as_list, given, reference_of

HERE = f"{REGION}:{ACCOUNT}"
# What every request carries.
ALWAYS = {"aws:RequestedRegion": REGION, "aws:SecureTransport": "true"}


def user_id(role):
    """What `aws:userid` is of a role, as an agent's task has it: ROLE-ID:SESSION."""
    return f"AROA{role.upper()}:0a1b2c3d"


class Request(NamedTuple):
    """What somebody asks for: a role by its name in its template, or a service."""

    who: str
    action: str
    resource: str
    context: tuple = ()

    @classmethod
    def of(cls, who, action, resource, context=None):
        return cls(who, action, resource, tuple(sorted((context or {}).items())))

    def __str__(self):
        return " ".join([self.who, self.action, self.resource, *(f"{key}={value}" for key, value in self.context)])


class Answer(NamedTuple):
    """What came of it, and the statements that decided: pairs of document and Sid."""

    result: str
    by: frozenset
    ignored: tuple

    @property
    def allowed(self):
        return self.result == "Allowed"


class Role(NamedTuple):
    arn: str
    # The names of its policies' documents.
    policies: tuple


class Account:
    """What IAM has once templates are deployed."""

    def __init__(self):
        self.documents = {}
        self.roles = {}
        # The documents that go with resources: the policies of buckets, keys, queues and topics, and who may assume roles.
        self.guards = {}

    def add(self, template, parameters, ids):
        """Takes in a template, with these parameters and these ids of its resources."""
        template = given(template, parameters)
        promise = Promise(template, parameters, ids)
        for name, resource in template.resources.items():
            kind, key = resource["Type"], f"{template.name}/{name}"
            if kind == "AWS::IAM::ManagedPolicy":
                self.documents[key] = promise.properties(name)["PolicyDocument"]
            elif kind == "AWS::IAM::Role":
                role = promise.properties(name)
                own = {f"{key}/{policy['PolicyName']}": policy["PolicyDocument"] for policy in role.get("Policies", []) if policy}
                attached = [f"{template.name}/{reference_of(policy)}" for policy in resource["Properties"].get("ManagedPolicyArns", [])]
                self.documents |= own
                self.roles[name] = Role(promise.attribute(name, "Arn"), (*attached, *own))
                self.guard(promise.attribute(name, "Arn"), f"{key}/trust", role["AssumeRolePolicyDocument"])
            elif kind == "AWS::KMS::Key":
                self.guard(promise.attribute(name, "Arn"), key, promise.properties(name)["KeyPolicy"])
            elif kind in GUARDED:
                document = promise.properties(name)["PolicyDocument"]
                for node in as_list(resource["Properties"][GUARDED[kind]]):
                    guarded = node["Ref"]
                    arn = ids[guarded] if kind == "AWS::SNS::TopicPolicy" else promise.attribute(guarded, "Arn")
                    self.guard(arn, key, document)

    def guard(self, arn, name, document):
        self.documents[name] = document
        self.guards[arn] = name

    def changed(self, name, change):
        """A copy in which one document is changed."""
        changed = copy.copy(self)
        changed.documents = {**self.documents, name: copy.deepcopy(self.documents[name])}
        change(changed.documents[name])
        return changed

    def holding(self, policies):
        """A copy in which roles have other policies: documents by their names, by the roles' names."""
        changed = copy.copy(self)
        changed.documents = {**self.documents, **{name: document for each in policies.values() for name, document in each.items()}}
        changed.roles = {name: role._replace(policies=tuple(policies.get(name, role.policies))) for name, role in self.roles.items()}
        return changed

    def guard_of(self, request):
        """The document that goes with a request's resource."""
        # Who may assume a role says nothing about who may do anything else with it.
        if request.action.startswith("iam:"):
            return None
        return self.guards.get(request.resource) or self.guards.get(request.resource.split("/")[0])

    def answers(self, requests):
        """What comes of each request."""
        asked = [
            {
                "principal": self.roles[request.who].arn if request.who in self.roles else request.who,
                "policies": self.roles[request.who].policies if request.who in self.roles else [],
                "resourcePolicy": self.guard_of(request),
                "action": request.action,
                "resource": request.resource,
                "account": ACCOUNT,
                "context": {**ALWAYS, **({"aws:userid": user_id(request.who)} if request.who in self.roles else {}), **dict(request.context)},
            }
            for request in requests
        ]
        command = [os.environ["BELLHOP_NODE"], str(ROOT / "tests" / "local" / "node" / "evaluate.cjs")]
        ended = subprocess.run(command, input=json.dumps({"documents": self.documents, "requests": asked}), capture_output=True, text=True, check=False)
        if ended.returncode:
            raise RuntimeError(f"{' '.join(command)}:\n{ended.stdout}{ended.stderr}")
        answers = []
        for request, answer in zip(requests, json.loads(ended.stdout), strict=True):
            if "error" in answer:
                raise ValueError(f"AWS knows no such request: {request}: {answer['error']}")
            answers.append(Answer(answer["result"], frozenset(map(tuple, answer["by"])), tuple(answer["ignored"])))
        return answers


# The policies of resources, and the property that names whose.
GUARDED = {
    "AWS::S3::BucketPolicy": "Bucket",
    "AWS::SNS::TopicPolicy": "Topics",
    "AWS::SQS::QueuePolicy": "Queues",
}


def made_up(template, parameters):
    """Ids for the resources of a template that is not deployed: their own names, or those in the template."""
    promise = Promise(template, parameters, {})
    ids = {}
    for name, resource in template.resources.items():
        own = NAMED.get(resource["Type"])
        ids[name] = promise.value(resource["Properties"][own]) if own else f"{parameters['AWS::StackName']}-{name}"
    return ids


# The property with a resource's name.
NAMED = {
    "AWS::CodeBuild::Project": "Name",
    "AWS::ECR::Repository": "RepositoryName",
    "AWS::ECS::Cluster": "ClusterName",
    "AWS::Logs::LogGroup": "LogGroupName",
}


def grants(account, role):
    """A role's policies, each statement taken apart into statements of one action on one resource: their documents, and what each grants by its Sid."""
    documents, each = {}, {}
    for name in account.roles[role].policies:
        statements = []
        for statement in as_list(account.documents[name]["Statement"]):
            for action in as_list(statement["Action"]):
                for resource in as_list(statement["Resource"]):
                    sid = f"{role}{len(each)}"
                    statements.append({**statement, "Sid": sid, "Action": action, "Resource": resource})
                    each[sid] = (action, resource)
        documents[f"{role}: {name}"] = {**account.documents[name], "Statement": statements}
    return documents, each
