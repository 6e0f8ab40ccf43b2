"""What the roles of infra/ allow, by an evaluator of somebody else's (policies.py): every request that the functions made, and what agents and services do;
nothing that nothing uses; and none of the attacks of attacks.py.

    python test_policies.py        with BELLHOP_NODE, NODE_PATH and BELLHOP_RECORDED as `cargo xtask test --only policies` sets them

What the functions did stands where the steps `acknowledged`, `kill` and the demos wrote it down. The template that their requests are held against is the
one that is there now; the step `deployed` sees to it that what is deployed is what the template says.
"""

import json
import os
import re
import unittest
from pathlib import Path

import attacks
from infra import ACCOUNT, ROOT, SUITE, Promise, Template, as_list, given
from policies import HERE, Account, Request, grants, made_up, user_id

FUNCTIONS = ["push", "task-state", "build-state", "spot-interruption", "alarm", "pipeline", "control", "backup", "sweep"]
AGENTS = Template.read(ROOT / "infra" / "agents.yaml")
REPOSITORY = Template.read(ROOT / "infra" / "repository.yaml")
NETWORK = Template.read(ROOT / "infra" / "network.yaml")
# The steps that write down what the functions did.
STEPS = {"acknowledged", "kill", "push", "pipeline", "spot", "alarm", "backup"}

# What is allowed and does not show in the functions' own calls: the functions, the action, and which of them uses it when. The functions share their
# policies, because each of them may be the one in whose hands a build's next step comes.
EXPLAINED = [
    (FUNCTIONS, "iam:PassRole", "part of the authorisation of RunTask, for the task definition's roles, and of the jobs of AWS Backup"),
    (FUNCTIONS, "ecs:DescribeTasks", "after ListTasks has found the agent of a launch whose reply was lost"),
    (FUNCTIONS, "ecs:ListTasks", "after such a launch, by the function that repeats it"),
    (["push", "pipeline", "alarm", "spot-interruption"], "ecs:StopTask", "of an agent that came of a launch after its build was ended by others"),
    (
        ["push", "pipeline", "control", "build-state", "spot-interruption", "alarm", "sweep"],
        "s3:GetObject",
        "of an agent's report, where its end was seen before its launch was noted; of a suite configuration that was broken, by the sweep",
    ),
    (["task-state"], "s3:GetObject", "of what an agent with a repository's role left, or a build of CodeBuild that ended meanwhile"),
    (
        ["push", "pipeline", "control", "spot-interruption", "alarm", "backup", "sweep"],
        "s3:ListBucketVersions",
        "of a suite configuration that is broken",
    ),
    (
        ["push", "pipeline", "control", "spot-interruption", "alarm", "backup", "sweep"],
        "s3:GetObjectVersion",
        "of a suite configuration that is broken, where there is an earlier version of it",
    ),
    (["push", "pipeline", "control"], "codecommit:GetFolder", "what stands in place of a pipeline file that is not there"),
    (["push"], "codecommit:GetBranch", "whether the pushed commit is the branch's tip, for an agent with `refs`"),
    (["push", "pipeline", "control"], "codecommit:GetMergeOptions", "whether a commit that is not the tip is on the branch, for an agent with `refs`"),
    (
        ["build-state", "pipeline", "control", "alarm", "spot-interruption", "sweep"],
        "s3:ListBucket",
        "the artifacts of a build, by the function that ends it; objects that are not there",
    ),
    (
        ["pipeline", "control", "alarm", "spot-interruption", "sweep"],
        "s3:PutObject",
        "a script that is too long for the overrides of a task; the report of a run, by the function that ends it",
    ),
    (["task-state", "build-state"], "s3:PutObject", "the list of the files that an agent fetches, by the function that ends the job which kept them"),
    (
        ["push", "task-state", "build-state", "spot-interruption", "alarm", "pipeline", "control", "sweep"],
        "dynamodb:DeleteItem",
        "a build in line for a slot, by the function that grants the slot or ends the build",
    ),
    (["alarm", "spot-interruption"], "dynamodb:Query", "the builds of a run, by the function that ends one"),
    (["control"], "dynamodb:Query", "the runs of all repositories, which no story lists"),
    (["build-state", "spot-interruption"], "ecs:RunTask", "a job on ECS that needs one on CodeBuild; the replacement of an agent on an instance"),
    (["build-state"], "ecs:StopTask", "of such a job, when its place or its run is gone"),
    (FUNCTIONS, "ecr:DescribeImages", "of the images that a job says it pushes, by the function that ends its build"),
    (FUNCTIONS, "codebuild:StartBuild", "by the function that lets a build on CodeBuild go ahead"),
    (FUNCTIONS, "codebuild:StopBuild", "by the function that ends such a build before its time"),
    (FUNCTIONS, "codebuild:ListBuildsForProject", "before a launch is repeated, by the function that repeats it"),
    (FUNCTIONS, "codebuild:BatchGetBuilds", "after such a list, and after a stop that is refused"),
    (FUNCTIONS, "codebuild:BatchGetProjects", "for a build that such a list shows with the name of an attempt"),
    (FUNCTIONS, "states:StartExecution", "by the function that lets a build on Step Functions go ahead"),
    (FUNCTIONS, "states:StopExecution", "by the function that ends such a build before its time"),
    (FUNCTIONS, "states:DescribeExecution", "of such a build, by the sweep; after a stop that is refused"),
    (FUNCTIONS, "codepipeline:PutJobSuccessResult", "by the function that ends the run that an action waits for"),
    (FUNCTIONS, "codepipeline:PutJobFailureResult", "by the function that ends the run that an action waits for"),
    (["backup"], "dynamodb:DescribeTable", "Cloud Control, with the caller's permissions, before it removes a restored table"),
    (["backup"], "dynamodb:DeleteTable", "Cloud Control, with the caller's permissions, when it removes a restored table"),
    (["alarm"], "sns:Publish", "on the internal topic, which wakes the function backup, for an alarm with back-up-now"),
    (FUNCTIONS, "sqs:SendMessage", "timers, by the function that stores a record with a time of its own"),
    (["sweep"], "sqs:ReceiveMessage", "Lambda, for the function that timers invoke"),
    (["sweep"], "sqs:DeleteMessage", "Lambda, for the function that timers invoke"),
    (["sweep"], "sqs:GetQueueAttributes", "Lambda, for the function that timers invoke"),
    (["backup"], "s3:ListBucket", "a suite that is not configured yet"),
    (["backup"], "backup:DescribeCopyJob", "of a copy without events for a quarter of an hour, or when backups are checked"),
    (["backup"], "backup:DescribeRestoreJob", "of a restore, likewise, or where its event does not say what it created"),
    (["backup"], "backup:StartCopyJob", "a backup with copy-to, by the function that sees it complete"),
    (["backup"], "backup:StartRestoreJob", "a backup with restore-test"),
    (["backup"], "backup:GetRecoveryPointRestoreMetadata", "a backup with restore-test"),
    (["backup"], "cloudformation:DeleteResource", "what a restore test created, by the function that sees it complete"),
    (["backup"], "cloudformation:GetResourceRequestStatus", "how that goes"),
]


def role_of(function):
    return "".join(part.capitalize() for part in function.split("-")) + "Role"


def policy(**statement):
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]}


def callers_policy():
    """The policy of docs/how-to/who-started-a-run.md, for those who send requests to the function URL."""
    text = (ROOT / "docs" / "how-to" / "who-started-a-run.md").read_text()
    [document] = [block for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL) if "Statement" in block]
    return json.loads(document.replace("FUNCTION_ARN", f"arn:aws:lambda:{HERE}:function:bellhop-control-url"))


class Suite:
    """The templates with the ids of one deployment."""

    def __init__(self, ids):
        # With the key, for what may be done with it; the local AWS does without.
        parameters = {"AWS::StackName": "bellhop", "Suite": "bellhop", "CustomerKey": "true"}
        ids = {**ids, "Key": "0a1b2c3d-4e5f-4a6b-8c7d-0e1f2a3b4c5d"}
        self.account = Account()
        self.account.add(Template.read(SUITE), parameters, ids)
        self.promise = Promise(given(Template.read(SUITE), parameters), parameters, ids)
        bucket = {"AWS::StackName": "bellhop-agents", "BucketName": ids["Bucket"], "VpcId": "vpc-0a1b2c3d", "SubnetIds": ["subnet-0a1b2c3d"]}
        agents = given(AGENTS, bucket)
        self.account.add(AGENTS, bucket, made_up(agents, bucket))
        of_shop = {
            "AWS::StackName": "bellhop-shop",
            "BucketName": ids["Bucket"],
            "Repository": "shop",
            "ImageRepositories": "ci/shop",
            "DeployRolePattern": "bellhop-deploy/shop",
            "CodeBuildProject": "ci-docker",
            "BuildLogGroupName": "/bellhop-agents/builds",
        }
        self.account.add(REPOSITORY, of_shop, made_up(given(REPOSITORY, of_shop), of_shop))
        network = {"AWS::StackName": "bellhop-network", "FlowLogs": "true"}
        self.account.add(NETWORK, network, made_up(given(NETWORK, network), network))
        roles = self.account.roles
        # What is others', and trusts whom its owners want to.
        for arn, action, trusted in (
            (f"arn:aws:iam::{ACCOUNT}:role/administrator", "sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:root"),
            (f"arn:aws:iam::{ACCOUNT}:role/bellhop-deploy/shop", "sts:AssumeRole", [roles["DeployTaskRole"].arn, roles["ProtectedRole"].arn]),
            (f"arn:aws:iam::{ACCOUNT}:role/bellhop-deploy/payroll", "sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:root"),
            (f"arn:aws:kms:{HERE}:key/0a1b2c3d", "kms:*", f"arn:aws:iam::{ACCOUNT}:root"),
        ):
            self.account.guard(arn, arn, policy(Action=action, Principal={"AWS": trusted}, Resource="*"))
        self.families = {}
        promise = Promise(agents, bucket, made_up(agents, bucket))
        for definition in agents.of_type("AWS::ECS::TaskDefinition").values():
            family, *passed = (promise.value(definition[key]) for key in ("Family", "TaskRoleArn", "ExecutionRoleArn"))
            self.families[family] = passed
        self.agents = [*agents.of_type("AWS::IAM::Role"), *attacks.OWN]
        self.names = {
            "here": HERE,
            "account": ACCOUNT,
            "bucket": ids["Bucket"],
            "table": ids["Table"],
            "topic": ids["Topic"],
            "wake_topic": ids["WakeTopic"],
            "timer_queue": self.promise.attribute("TimerQueue", "Arn"),
            "key": self.promise.attribute("Key", "Arn"),
            "push_queue": self.promise.attribute("PushDeadLetterQueue", "Arn"),
            "push_rule": self.promise.attribute("PushFunctionRepositoryChanged", "Arn"),
            "push_role": roles["PushRole"].arn,
            "agent_role": roles["TestTaskRole"].arn,
            "deploy_role": roles["DeployTaskRole"].arn,
            "protected_role": roles["ProtectedRole"].arn,
            "backup_role": roles["BackupServiceRole"].arn,
        }

    def request(self, who, action, resource, context=None):
        """A request as attacks.py has it."""
        own = {
            **self.names,
            "own_role": self.account.roles[who].arn if who in self.account.roles else "",
            "own_id": user_id(who),
            "other_id": user_id(who).replace("0a1b2c3d", "ffffffff"),
            "own_function": f"bellhop-{next((function for function in FUNCTIONS if role_of(function) == who), 'push')}",
        }
        context = {key: value.format_map(own) for key, value in (context or {}).items()}
        return Request.of(who, action, resource.format_map(own), context)

    def made(self, recording):
        """What the functions did, and what others did for them in doing so."""
        made = set()
        for request in recording["requests"]:
            asked = Request.of(role_of(request["function"]), request["action"], request["resource"], request["context"])
            made.add(asked)
            if asked.action == "ecs:RunTask":
                # ECS takes the roles of the task's definition for passed.
                family = asked.resource.rpartition("/")[2].partition(":")[0]
                passed = self.families[family]
                made |= {Request.of(asked.who, "iam:PassRole", role, {"iam:PassedToService": "ecs-tasks.amazonaws.com"}) for role in passed}
            service = asked.action.partition(":")[0]
            if service in ("sns", "dynamodb", "s3"):
                via = {"kms:CallerAccount": ACCOUNT, "kms:ViaService": f"{service}.us-east-1.amazonaws.com"}
                made |= {Request.of(asked.who, action, self.names["key"], via) for action in ("kms:Decrypt", "kms:GenerateDataKey")}
        return made

    def by_lambda(self):
        """What Lambda does as the functions: it writes what they print, and hands over what they could not finish."""
        for function in FUNCTIONS:
            name = role_of(function).removesuffix("Role")
            group = self.promise.attribute(f"{name}LogGroup", "Arn").removesuffix(":*")
            for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
                yield Request.of(role_of(function), action, f"{group}:log-stream:2026/11/29/a")
            yield Request.of(role_of(function), "sqs:SendMessage", self.promise.attribute(f"{name}DeadLetterQueue", "Arn"))

    def attacks(self):
        """Each attack with its sentence."""
        functions = [role_of(function) for function in FUNCTIONS]
        for who in self.account.roles:
            for sentence, *asked in attacks.ANYBODY:
                yield f"{who} {sentence}", self.request(who, *asked)
        for who in self.agents:
            for sentence, *asked in attacks.AGENT:
                yield f"{who} {sentence}", self.request(who, *asked)
        for who in attacks.OWN:
            for sentence, *asked in attacks.REPOSITORY:
                yield f"{who} {sentence}", self.request(who, *asked)
        for among, table in ((functions, attacks.SOME), (self.agents, attacks.WORK)):
            for sentence, *asked, may in table:
                may = [role_of(name) if among is functions else name for name in may]
                for who in among:
                    if who not in may:
                        yield f"{who} {sentence}", self.request(who, *asked)

    def work(self):
        """What some of the functions, and the agents, may do, each with its sentence."""
        for table, role in ((attacks.SOME, role_of), (attacks.WORK, str)):
            for sentence, *asked, may in table:
                for name in may:
                    yield f"{role(name)} {sentence}", self.request(role(name), *asked)


def statement(document, sid):
    [found] = [one for one in as_list(document["Statement"]) if one.get("Sid") == sid]
    return found


def take_out(sid):
    def change(document):
        document["Statement"].remove(statement(document, sid))

    return change


def widen(sid):
    return lambda document: statement(document, sid).update(Resource="*")


def star(sid):
    """Any number of characters instead of so many."""

    def change(document):
        found = statement(document, sid)
        found["Resource"] = re.sub(r"\?+", "*", found["Resource"])

    return change


def artifacts_and_all(sid):
    """What is beside artifacts, too."""

    def change(document):
        found = statement(document, sid)
        found["Resource"] = [resource.replace("/*/artifacts/*", "/*") for resource in as_list(found["Resource"])]

    return change


def unconditional(sid):
    return lambda document: statement(document, sid).pop("Condition")


def allow(action):
    return lambda document: document["Statement"].append({"Sid": "More", "Effect": "Allow", "Action": action, "Resource": "*"})


def unneeded(account, made, explained):
    """Permissions of functions that nothing uses and nothing explains, and explanations that nothing needs: one line each; with how many permissions there are,
    action by action and resource by resource, and how many are used."""
    taken_apart = {role_of(function): grants(account, role_of(function)) for function in FUNCTIONS}
    account = account.holding({role: documents for role, (documents, _) in taken_apart.items()})
    all_of_them = {sid for _, each in taken_apart.values() for sid in each}
    # Among the statements that allow are the resources' own.
    used = {sid for answer in account.answers(sorted(made)) for _, sid in answer.by} & all_of_them
    found, needed = [], set()
    for function in FUNCTIONS:
        for sid, (action, resource) in taken_apart[role_of(function)][1].items():
            if sid not in used:
                places = {place for place, (of, what, _) in enumerate(explained) if function in of and what == action}
                needed |= places
                if not places:
                    found.append(f"{function}: {action} on {resource} is allowed, and neither used nor explained")
    # Not for each function: which of them takes a build's next step is chance.
    found += [f"{action} is explained ({why}), and used or not allowed" for place, (_, action, why) in enumerate(explained) if place not in needed]
    return found, len(all_of_them), len(used)


# What a job fetches of others.
OF_OTHERS = ["another job's artifact", "a version of another job's artifact", "a build's artifact", "a version of a build's artifact"]

# A document, what is broken about it, and what has to show it, and nothing else: a sentence of attacks.py, or a role and what it did. The key's document is of
# no role, and shows without one.
FAULTS = [
    ("agents.yaml/JobPolicy", take_out("Script"), {f"{role} reads its script" for role in attacks.TESTS}),
    ("agents.yaml/JobPolicy", take_out("Artifacts"), {f"{role} reads {what}" for role in attacks.TESTS for what in OF_OTHERS}),
    (
        "agents.yaml/JobPolicy",
        artifacts_and_all("Artifacts"),
        {f"{role} reads {what}" for role in attacks.TESTS for what in ("a run's report", "an earlier version of a report", "another agent's report")},
    ),
    ("agents.yaml/ExecutionRole/start", take_out("RegistryLogin"), {"ExecutionRole logs in to the registry"}),
    ("agents.yaml/PublishPolicy", take_out("PushAndPullImages"), {"PublishTaskRole pushes an image", "CodeBuildRole pushes an image"}),
    ("template.yaml/SweepRole/sweep", take_out("Due"), {"SweepRole looks for what is due", "SweepRole dynamodb:Query"}),
    ("template.yaml/SweepRole/sweep", take_out("Wake"), {"SweepRole wakes a function", "SweepRole sns:Publish"}),
    ("template.yaml/BackupRole/backup", take_out("Notify"), {"BackupRole sns:Publish"}),
    ("template.yaml/PushRole/push", take_out("Log"), {"PushRole logs:CreateLogStream", "PushRole logs:PutLogEvents", "PushRole writes push's log"}),
    ("template.yaml/SweepRole/sweep", widen("DeadLetter"), {"SweepRole hands over what push could not finish"}),
    ("template.yaml/SweepRole/sweep", widen("Log"), {"SweepRole writes push's log"}),
    ("template.yaml/BackupRole/backup", widen("Notify"), {"BackupRole speaks for another suite", "BackupRole wakes a function"}),
    (
        "template.yaml/BackupRole/backup",
        widen("Ledger"),
        {"BackupRole reads another suite's ledger", "BackupRole writes another suite's ledger"},
    ),
    ("template.yaml/Key", unconditional("ThroughItsServices"), {"uses the suite's key by itself", "uses the suite's key for something else"}),
    ("template.yaml/Key", take_out("ThroughItsServices"), {"kms:Decrypt", "kms:GenerateDataKey"}),
    ("template.yaml/SpotInterruptionRole/spot-interruption", unconditional("DrainInstances"), {"SpotInterruptionRole drains others' instance"}),
    ("agents.yaml/DeployTaskRole/deploy", widen("BecomeDeployer"), {"DeployTaskRole becomes an administrator"}),
    (
        "repository.yaml/RepositoryRole/not-protected",
        take_out("NoProtectedParameters"),
        {"RepositoryRole reads a protected parameter"},
    ),
    ("repository.yaml/RepositoryRole/not-protected", take_out("NoProtectedSecrets"), {"RepositoryRole reads a protected secret"}),
    ("repository.yaml/JobPolicy", star("OwnFolder"), {f"{role} names a folder in a repository's agent's after itself" for role in attacks.OWN}),
    ("agents.yaml/JobPolicy", star("OwnFolder"), {f"{role} names a folder in another agent's after itself" for role in attacks.TESTS}),
    ("agents.yaml/CodeBuildRole/agent", widen("Log"), {f"CodeBuildRole {log}" for log in ("logs as an agent", "logs as the image's build", "writes a function's log")}),
]


class Policies(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = Path(os.environ["BELLHOP_RECORDED"])
        cls.recordings = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
        missing = STEPS - cls.recordings.keys()
        if missing:
            raise RuntimeError(f"{', '.join(sorted(missing))}: nothing is written down in {folder}; acknowledged, kill and the demos do that")
        cls.suite = Suite(cls.recordings["acknowledged"]["ids"])
        cls.made = cls.suite.made(cls.recordings["acknowledged"]) | set(cls.suite.by_lambda())

    def test_every_request_that_was_made_is_allowed(self):
        evaluated, who = 0, set()
        for name, recording in self.recordings.items():
            suite = Suite(recording["ids"])
            requests = sorted(suite.made(recording) | set(suite.by_lambda()))
            for request, answer in zip(requests, suite.account.answers(requests), strict=True):
                with self.subTest(recorded=name, request=str(request)):
                    self.assertTrue(answer.allowed, answer.result)
                    # A condition could not ask for what AWS does not say.
                    self.assertEqual(answer.ignored, ())
            evaluated += len(requests)
            who |= {request.who for request in requests}
        print(f"{evaluated} requests of {len(who)} functions in {len(self.recordings)} stories: each is allowed")

    def test_nothing_is_allowed_that_nothing_uses(self):
        found, permissions, used = unneeded(self.suite.account, self.made, EXPLAINED)
        self.assertEqual(found, [])
        print(f"{permissions} permissions of {len(FUNCTIONS)} functions: {used} used, the others explained")
        more = self.suite.account.changed("template.yaml/SweepRole/sweep", allow("ecs:DeleteCluster"))
        [found], *_ = unneeded(more, self.made, EXPLAINED)
        self.assertIn("sweep: ecs:DeleteCluster on * is allowed, and neither used nor explained", found)
        [found], *_ = unneeded(self.suite.account, self.made, [*EXPLAINED, (["push"], "s3:DeleteObject", "of nothing")])
        self.assertIn("s3:DeleteObject is explained (of nothing)", found)

    def test_work_is_allowed_and_attacks_are_denied(self):
        work, against = list(self.suite.work()), list(self.suite.attacks())
        for (sentence, _), answer in zip(work, self.suite.account.answers([request for _, request in work]), strict=True):
            with self.subTest(sentence):
                self.assertTrue(answer.allowed, answer.result)
        for (sentence, _), answer in zip(against, self.suite.account.answers([request for _, request in against]), strict=True):
            with self.subTest(sentence):
                self.assertFalse(answer.allowed, answer.by)
        # Whom everybody trusts with everything could do each of them: they are denied for what the policies say, and not for what they are.
        everything = policy(Action="*", Resource="*")
        trusting = policy(Action="*", Resource="*", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"})
        anybody = self.suite.account.holding({role: {"everything": everything} for role in self.suite.account.roles})
        anybody.documents = {**anybody.documents, **{name: trusting for name in anybody.guards.values()}}
        for (sentence, _), answer in zip(against, anybody.answers([request for _, request in against]), strict=True):
            with self.subTest(sentence):
                self.assertTrue(answer.allowed, "is no attack")
        print(f"{len(against)} attacks of {len(self.suite.account.roles)} roles: each is denied; {len(work)} things that they are for: each is allowed")

    def test_what_is_open_is_known(self):
        asked = [self.suite.request(who, action, resource) for _, action, resource, who in attacks.OPEN]
        for (sentence, *_), answer in zip(attacks.OPEN, self.suite.account.answers(asked), strict=True):
            with self.subTest(sentence):
                self.assertTrue(answer.allowed, "is denied by now: it belongs into AGENT")

    def test_a_role_is_assumed_by_its_service_alone(self):
        trust = {**attacks.TRUST, **{role_of(function): [("lambda.amazonaws.com", {})] for function in FUNCTIONS}}
        self.assertEqual(trust.keys(), self.suite.account.roles.keys())
        everything = {role: {"everything": policy(Action="*", Resource="*")} for role in self.suite.account.roles}
        account = self.suite.account.holding(everything)
        services = sorted({service for each in trust.values() for service, _ in each} | {"ec2.amazonaws.com", "cloudformation.amazonaws.com"})
        asked = []
        for name, service, context in ((name, *one) for name, each in trust.items() for one in each):
            arn = account.roles[name].arn
            trusted = {service for service, _ in trust[name]}
            asked.append((True, self.suite.request(service, "sts:AssumeRole", arn, context)))
            asked += [(False, self.suite.request(other, "sts:AssumeRole", arn, context)) for other in services if other not in trusted]
            asked += [(False, self.suite.request(role, "sts:AssumeRole", arn)) for role in account.roles]
            for key, value in {"aws:SourceAccount": "999999999999", "aws:SourceArn": "arn:aws:ecs:us-east-1:999999999999:task/ci-main/0a1b2c3d"}.items():
                if key in context:
                    asked.append((False, self.suite.request(service, "sts:AssumeRole", arn, {**context, key: value})))
        for (may, request), answer in zip(asked, account.answers([request for _, request in asked]), strict=True):
            with self.subTest(str(request)):
                self.assertEqual(answer.allowed, may)
        print(f"{len(asked)} ways to assume {len(trust)} roles: each by its service alone")

    def test_callers_reach_the_function_url_and_no_function_without_it(self):
        # A role of the account's own, with the policy of the page.
        who = "PushRole"
        account = self.suite.account.holding({who: {"callers": callers_policy()}})
        via_url = {"lambda:InvokedViaFunctionUrl": "true"}
        for action, function, context, may in (
            ("lambda:InvokeFunctionUrl", "control-url", {"lambda:FunctionUrlAuthType": "AWS_IAM"}, True),
            ("lambda:InvokeFunctionUrl", "control-url", {"lambda:FunctionUrlAuthType": "NONE"}, False),
            ("lambda:InvokeFunctionUrl", "control", {"lambda:FunctionUrlAuthType": "AWS_IAM"}, False),
            ("lambda:InvokeFunction", "control-url", via_url, True),
            ("lambda:InvokeFunction", "control-url", {"lambda:InvokedViaFunctionUrl": "false"}, False),
            ("lambda:InvokeFunction", "control-url", {}, False),
            ("lambda:InvokeFunction", "control", via_url, False),
            ("lambda:UpdateFunctionUrlConfig", "control-url", {}, False),
        ):
            request = self.suite.request(who, action, f"arn:aws:lambda:{{here}}:function:bellhop-{function}", context)
            [answer] = account.answers([request])
            with self.subTest(str(request)):
                self.assertEqual((answer.allowed, answer.ignored), (may, ()))

    def test_services_may_do_what_they_do_for_the_suite(self):
        asked = [self.suite.request(*asked) for *asked, _ in attacks.SERVICES]
        for (*_, may), request, answer in zip(attacks.SERVICES, asked, self.suite.account.answers(asked), strict=True):
            with self.subTest(str(request)):
                self.assertEqual(answer.allowed, may)

    def test_every_fault_is_found(self):
        made = [(f"{request.who} {request.action}", request) for request in sorted(self.made)]
        allowed, denied = made + list(self.suite.work()), list(self.suite.attacks())
        for name, change, shown in FAULTS:
            # What the others' roles say is as before.
            roles = self.suite.account.roles
            whose = [role for role, about in roles.items() if name in about.policies] or list(roles)
            of_these = [[(sentence, request) for sentence, request in asked if request.who in whose] for asked in (allowed, denied)]
            answers = iter(self.suite.account.changed(name, change).answers([request for asked in of_these for _, request in asked]))
            wrong = {sentence for asked, may in zip(of_these, (True, False)) for sentence, _ in asked if next(answers).allowed != may}
            if name in self.suite.account.guards.values():
                wrong = {sentence.partition(" ")[2] for sentence in wrong}
            with self.subTest(document=name, shown=sorted(shown)):
                self.assertEqual(wrong, shown)
        print(f"{len(FAULTS)} faults: each is found, by what it breaks alone")


if __name__ == "__main__":
    unittest.main()
