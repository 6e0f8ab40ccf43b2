"""What holds for every template of infra/, and whether the checks would see it broken: each fault of infra_faults/ is made in a copy of a
template, and the check that is named with it has to find it.

    python test_infra.py        with the requirements of requirements.txt installed
    python test_infra.py write  writes the files of tests/checks/suite-configuration
"""

import io
import json
import re
import sys
import tempfile
import unittest
from contextlib import redirect_stdout
from pathlib import Path
from unittest.mock import patch

import check_template
import infra_checks
import samples
from infra import ROOT, SOLUTIONS, SUITE, TEMPLATES, Template, given, resolve
from infra_faults import FAULTS
from local_aws import LocalAws

CHECKS, TOGETHER = infra_checks.CHECKS, infra_checks.TOGETHER

# Schedules with what they are: in order, or not.
SCHEDULES = [
    ("rate(1 minute)", True),
    ("rate(6 hours)", True),
    ("rate(30 days)", True),
    ("rate(1 minutes)", False),
    ("rate(6 hour)", False),
    ("rate(0 minutes)", False),
    ("rate(90 seconds)", False),
    ("rate(1.5 hours)", False),
    ("cron(0 3 * * ? *)", True),
    ("cron(0/5 8-17 ? * MON-FRI *)", True),
    ("cron(0 9 ? * 2#1 *)", True),
    ("cron(0 0 L * ? *)", True),
    ("cron(0 8 1W JAN,JUL ? *)", True),
    # As Unix writes it, with five fields, or without the question mark.
    ("cron(0 3 * * *)", False),
    ("cron(0 3 * * * *)", False),
    ("cron(0 3 ? * ? *)", False),
    ("cron(0 25 * * ? *)", False),
    ("cron(60 3 * * ? *)", False),
    ("cron(0 3 32 * ? *)", False),
    ("cron(0 3 ? * 0 *)", False),
    ("cron(0 3 ? * 2#6 *)", False),
    ("cron(0/0 3 * * ? *)", False),
    # Days and years that never come.
    ("cron(0 3 30 2 ? *)", False),
    ("cron(0 3 * * ? 2020)", False),
    ("0 3 * * ? *", False),
    ("@daily", False),
]


# What the output SuiteConfiguration is with these parameters, in a file that a test of tests/checks has the functions' own parser read.
SUITE_CONFIGURATIONS = ROOT / "tests" / "checks" / "suite-configuration"
SUITE_CONFIGURATION = {
    "default.yaml": {"AssignPublicIp": "true"},
    "one-cluster-without-codebuild.yaml": {"SpotClusterName": "ci", "OnDemandClusterName": "ci", "CodeBuildProject": ""},
}


def suite_configuration(template, parameters):
    """The output SuiteConfiguration, with made-up ids for what AWS names."""
    ids = {"BucketName": "bellhop-bucket", "VpcId": "vpc-0a1b2c3d", "SubnetIds": ["subnet-0a1b2c3d", "subnet-4e5f6a7b"], "AgentSecurityGroup": "sg-0a1b2c3d"}
    ids["AWS::StackName"] = "bellhop-agents"
    template = given(template, {**ids, **parameters})
    values = {**template.defaults(), **ids, **parameters}
    for kind, name in (("AWS::ECS::Cluster", "ClusterName"), ("AWS::CodeBuild::Project", "Name"), ("AWS::Logs::LogGroup", "LogGroupName")):
        values |= {resource: resolve(properties[name], values) for resource, properties in template.of_type(kind).items()}
    return resolve(template.document["Outputs"]["SuiteConfiguration"]["Value"], values)


class Infra(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.local = LocalAws()
        cls.addClassCleanup(cls.local.stop)

    def findings(self, check, template, templates):
        if check in TOGETHER:
            return TOGETHER[check]({**templates, template.name: template})
        return infra_checks.patterns(template, self.local) if check == "patterns" else CHECKS[check](template)

    def test_nothing_is_found_in_the_templates(self):
        self.assertIn(SUITE, TEMPLATES)
        templates = [Template.read(path) for path in TEMPLATES]
        for template in templates:
            # The step `template` has cfn-lint look at every template, and the step `rules` looks at every pattern.
            for check in CHECKS.keys() - {"lint"}:
                with self.subTest(template=template.name, check=check):
                    self.assertEqual(CHECKS[check](template), [])
        for check, look in TOGETHER.items():
            with self.subTest(check=check):
                self.assertEqual(look({template.name: template for template in templates}), [])
        self.assertEqual(infra_checks.unneeded(templates), [])

    def test_every_fault_is_found(self):
        self.assertEqual({check for _, check, *_ in FAULTS}, {*CHECKS, *TOGETHER, "patterns"})
        templates = {path.name: Template.read(path) for path in TEMPLATES}
        for faults, check, said, *broken in FAULTS:
            faults = faults if isinstance(faults, tuple) else (faults,)
            [name] = broken or [SUITE.name]
            template = templates[name].copy()
            for fault in faults:
                fault(template)
            with self.subTest(fault=", ".join(fault.__name__ for fault in faults), check=check):
                findings = "\n".join(self.findings(check, template, templates))
                for part in said:
                    self.assertIn(part, findings)

    def test_cfn_lint_looks_at_a_template_as_it_is_written_too(self):
        function = {"Runtime": "provided.al2023", "Handler": "bootstrap", "CodeUri": "code/", "Timeout": "78"}
        document = {"Transform": "AWS::Serverless-2016-10-31", "Resources": {"Sweep": {"Type": "AWS::Serverless::Function", "Properties": function}}}
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write(json.dumps(document))
            file.flush()
            found = [line for line in check_template.check(Path(file.name)) if "E3012" in line]
        self.assertEqual([line.startswith("as it is written: ") for line in found], [False, True], found)

    def test_an_explanation_of_cfn_lints_findings_that_nothing_needs_is_found(self):
        printed = io.StringIO()
        with patch.dict(check_template.EXPLAINED, {"E9999": "of nothing"}), redirect_stdout(printed):
            self.assertEqual(check_template.main([str(ROOT / "infra" / "bellhop.yaml")]), 1)
        self.assertIn("E9999 is explained and not found", printed.getvalue())

    def test_the_suite_configuration_that_the_parser_reads_is_that_of_the_agents(self):
        template = Template.read(ROOT / "infra" / "agents.yaml")
        self.assertEqual({path.name for path in SUITE_CONFIGURATIONS.iterdir()}, SUITE_CONFIGURATION.keys())
        for name, parameters in SUITE_CONFIGURATION.items():
            file = SUITE_CONFIGURATIONS / name
            rendered = suite_configuration(template, parameters)
            with self.subTest(file=name):
                self.assertEqual(file.read_text(), rendered, f"python test_infra.py write makes {file.relative_to(ROOT)} anew")

    def test_the_suite_configuration_says_where_the_agents_log_to(self):
        template = Template.read(ROOT / "infra" / "agents.yaml")
        agents = suite_configuration(template, {}).splitlines()
        groups = {name: f"/bellhop-agents/{what}" for name, what in (("AgentLogGroup", "agents"), ("CodeBuildLogGroup", "builds"))}
        for name, group in groups.items():
            self.assertEqual(resolve(template.properties(name)["LogGroupName"], {"AWS::StackName": "bellhop-agents"}), group)
        for name, definition in template.of_type("AWS::ECS::TaskDefinition").items():
            [container] = definition["ContainerDefinitions"]
            # The suite configuration names no container, and this is what it is called then.
            self.assertEqual(container["Name"], "agent", name)
            options = container["LogConfiguration"]["Options"]
            logs = f"logs: {{ group: {resolve(options['awslogs-group'], groups)}, stream-prefix: {options['awslogs-stream-prefix']} }}"
            family = resolve(definition["Family"], template.defaults())
            [agent] = [line for line in agents if f"task-definition: {family}," in line]
            self.assertIn(logs, agent)
        logs = resolve(template.properties("DockerProject")["LogsConfig"]["CloudWatchLogs"], groups)
        self.assertEqual(logs, {"Status": "ENABLED", "GroupName": "/bellhop-agents/builds"})
        self.assertIn("    codebuild: { project: ci-docker, logs: { group: /bellhop-agents/builds } }", agents)

    def test_an_explanation_that_nothing_needs_is_found(self):
        template = Template.read(SUITE)
        statements = template.properties("AgentLaunchPolicy")["PolicyDocument"]["Statement"]
        statements[:] = [statement for statement in statements if statement["Sid"] != "FindByStartedBy"]
        [found] = infra_checks.unneeded([template])
        self.assertIn("AgentLaunchPolicy/FindByStartedBy", found)

    def test_schedules_are_read_as_eventbridge_reads_them(self):
        for schedule, right in SCHEDULES:
            self.assertEqual(infra_checks.wrong_schedule(schedule) is None, right, f"{schedule}: {infra_checks.wrong_schedule(schedule)}")

    def test_schedules_in_the_documents_are_right(self):
        # Jenkins's schedules look like EventBridge's, and are others.
        documents = [file for file in sorted((ROOT / "docs").rglob("*.md")) if file.name != "moving-from-jenkins.md"]
        files = [ROOT / "README.md", *documents, *sorted((ROOT / "tests" / "local").glob("*.yaml"))]
        shown = [(file, schedule) for file in files for schedule in infra_checks.SCHEDULE.findall(file.read_text())]
        self.assertTrue(shown)
        for file, schedule in shown:
            self.assertIsNone(infra_checks.wrong_schedule(schedule), f"{file}: {schedule}")
        # None is missed for being written otherwise.
        for file in files:
            for written in re.findall(r"--schedule-expression[ =]'?([^'\n]*)'?", file.read_text()):
                self.assertIn(written.split("'")[0], [schedule for _, schedule in shown], file)


# The checks that hold for the templates of applications, too.
OF_SOLUTIONS = ("schedules", "wildcards", "public", "encryption", "ingress", "names", "partitions")


class Solutions(unittest.TestCase):
    def test_nothing_is_found_in_the_templates(self):
        self.assertTrue(SOLUTIONS)
        for path in SOLUTIONS:
            template = Template.read(path)
            for check in OF_SOLUTIONS:
                with self.subTest(template=path.name, check=check):
                    self.assertEqual(CHECKS[check](template), [])


class PdfIndex(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.template = Template.read(ROOT / "infra" / "solutions" / "solution-4.yaml")

    def test_events_reach_the_alias_and_not_the_function(self):
        alias = {"Ref": "Live"}
        [target] = self.template.properties("Rule")["Targets"]
        self.assertEqual(target["Arn"], alias)
        self.assertEqual(self.template.properties("RulePermission")["FunctionName"], alias)
        config = self.template.properties("InvokeConfig")
        queue = {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
        self.assertEqual((config["Qualifier"], config["DestinationConfig"]), ("live", {"OnFailure": {"Destination": queue}}))
        self.assertEqual(target["DeadLetterConfig"], {"Arn": queue})

    def test_the_stack_writes_version_and_alias_once(self):
        # Of these, CloudFormation would send every event to version 1 when any property changes.
        function = {"Ref": "Function"}
        self.assertEqual(self.template.properties("FirstVersion"), {"FunctionName": function})
        version = {"Fn::GetAtt": ["FirstVersion", "Version"]}
        self.assertEqual(self.template.properties("Live"), {"FunctionName": function, "FunctionVersion": version, "Name": "live"})
        self.assertEqual({"AWS::Lambda::Version", "AWS::Lambda::Alias"}, {self.template.resources[name]["Type"] for name in ("FirstVersion", "Live")})
        self.assertEqual(len(self.template.of_type("AWS::Lambda::Version")), 1)

    def test_the_rule_lets_new_files_pass_and_nothing_else(self):
        values = {"AWS::AccountId": "123456789012", "Bucket": "pdf-index-bucket-1a2b3c4d5e6f"}
        pattern = json.dumps(resolve(self.template.properties("Rule")["EventPattern"], values))
        created = samples.samples()["s3/object-created.json"]
        cases = {name: name == "s3/object-created.json" for name in samples.samples() if name.startswith("s3/")}
        texts = [(samples.samples()[name], passes) for name, passes in cases.items()]
        texts += [(created.replace(".pdf", ending), passes) for ending, passes in ((".PDF", True), (".pdf.txt", False), ("pdf", False))]
        texts += [(created.replace("pdf-index-bucket", "other-bucket"), False), (created.replace("123456789012", "210987654321"), False)]
        with LocalAws() as local:
            for text, passes in texts:
                self.assertEqual(local.passes(pattern, text), passes, text)


def write():
    template = Template.read(ROOT / "infra" / "agents.yaml")
    for name, parameters in SUITE_CONFIGURATION.items():
        (SUITE_CONFIGURATIONS / name).write_text(suite_configuration(template, parameters))


if __name__ == "__main__":
    if sys.argv[1:] == ["write"]:
        write()
    else:
        unittest.main()
