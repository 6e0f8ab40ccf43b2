"""What is counted of templates: small ones first, of which every answer is plain, then those of infra/ against docs/cost.

    python test_inventory.py        with the requirements of requirements.txt installed
"""

import json
import unittest

import inventory
from infra import ROOT, Template
from inventory import RESOURCES, WHOLE, Stack, counted, keys, size, types

# A stack that nests another twice, the second with an output of the first.
PARENT = {
    "Parameters": {
        "Kind": {"Type": "String", "Default": "plain"},
        "Extra": {"Type": "String", "Default": "false", "AllowedValues": ["true", "false"]},
    },
    "Conditions": {"HasExtra": {"Fn::Equals": [{"Ref": "Extra"}, "true"]}},
    "Resources": {
        "Second": {
            "Type": "AWS::CloudFormation::Stack",
            "Properties": {
                "TemplateURL": "https://packaged/child.yaml",
                "Parameters": {"Kind": {"Fn::GetAtt": ["First", "Outputs.Kind"]}, "Subnets": "a"},
            },
        },
        "First": {
            "Type": "AWS::CloudFormation::Stack",
            "Properties": {
                "TemplateURL": "https://packaged/child.yaml",
                "Parameters": {
                    "Kind": {"Ref": "Kind"},
                    "Subnets": {"Fn::If": ["HasExtra", "a,b,c", "a,b"]},
                    "Unset": {"Fn::If": ["HasExtra", "set", {"Ref": "AWS::NoValue"}]},
                },
            },
        },
    },
}
CHILD = {
    "Parameters": {
        "Kind": {"Type": "String"},
        "Subnets": {"Type": "CommaDelimitedList"},
        "Unset": {"Type": "String", "Default": "unset"},
    },
    "Conditions": {
        "IsPlain": {"Fn::Equals": [{"Ref": "Kind"}, "plain"]},
        "IsNotPlain": {"Fn::Not": [{"Condition": "IsPlain"}]},
        "IsSet": {"Fn::Equals": [{"Ref": "Unset"}, "set"]},
        "Both": {"Fn::And": [{"Condition": "IsPlain"}, {"Condition": "IsSet"}]},
        "Either": {"Fn::Or": [{"Condition": "IsPlain"}, {"Condition": "IsSet"}]},
        "OnAws": {"Fn::Equals": [{"Ref": "AWS::Partition"}, "aws"]},
    },
    "Resources": {
        "Always": {"Type": "AWS::SQS::Queue"},
        "Plain": {"Type": "AWS::SNS::Topic", "Condition": "IsPlain"},
        "Other": {"Type": "AWS::S3::Bucket", "Condition": "IsNotPlain"},
        "BothOfThem": {"Type": "AWS::KMS::Key", "Condition": "Both"},
        "EitherOfThem": {"Type": "AWS::EC2::EIP", "Condition": "Either"},
        "Here": {"Type": "AWS::EC2::NatGateway", "Condition": "OnAws"},
        "Endpoint": {"Type": "AWS::EC2::VPCEndpoint", "Properties": {"VpcEndpointType": "Interface", "SubnetIds": {"Ref": "Subnets"}}},
        "Gateway": {"Type": "AWS::EC2::VPCEndpoint", "Properties": {"ServiceName": "s3"}},
    },
    "Outputs": {"Kind": {"Value": {"Fn::If": ["IsPlain", "other", "plain"]}}},
}


def small():
    return {name: Template(name, json.loads(json.dumps(document))) for name, document in ((WHOLE, PARENT), ("child.yaml", CHILD))}


class Counting(unittest.TestCase):
    def test_conditions_and_nested_stacks(self):
        expected = {
            "AWS::CloudFormation::Stack": 2,
            "AWS::SQS::Queue": 2,
            # The first is plain, and its output makes the second another.
            "AWS::SNS::Topic": 1,
            "AWS::S3::Bucket": 1,
            "AWS::EC2::EIP": 1,
            "AWS::EC2::NatGateway": 2,
            # Two subnets, and one.
            "AWS::EC2::VPCEndpoint Interface": 3,
            "AWS::EC2::VPCEndpoint Gateway": 2,
        }
        self.assertEqual(dict(counted(Stack(small(), WHOLE, {}))), expected)

    def test_parameters_change_what_there_is(self):
        found = counted(Stack(small(), WHOLE, {"Extra": "true"}))
        self.assertEqual((found["AWS::KMS::Key"], found["AWS::EC2::EIP"], found["AWS::EC2::VPCEndpoint Interface"]), (1, 1, 4))
        found = counted(Stack(small(), WHOLE, {"Kind": "other"}))
        self.assertEqual((found["AWS::SNS::Topic"], found["AWS::S3::Bucket"], found["AWS::EC2::EIP"]), (1, 1, 1))

    def test_a_parameter_that_no_template_has_is_an_error(self):
        with self.assertRaisesRegex(ValueError, "bellhop.yaml has no parameter Colour"):
            Stack(small(), WHOLE, {"Colour": "red"})
        templates = small()
        templates[WHOLE].resources["First"]["Properties"]["Parameters"]["Colour"] = "red"
        with self.assertRaisesRegex(ValueError, "child.yaml has no parameter Colour"):
            Stack(templates, WHOLE, {})

    def test_a_value_that_a_parameter_does_not_take_is_an_error(self):
        with self.assertRaisesRegex(ValueError, "bellhop.yaml does not take yes for Extra"):
            Stack(small(), WHOLE, {"Extra": "yes"})

    def test_stacks_that_wait_for_each_other_are_an_error(self):
        templates = small()
        templates[WHOLE].resources["First"]["Properties"]["Parameters"]["Kind"] = {"Fn::GetAtt": ["Second", "Outputs.Kind"]}
        with self.assertRaisesRegex(ValueError, "wait for each other"):
            Stack(templates, WHOLE, {})

    def test_types_are_named_under_any_condition(self):
        found = types(small())
        self.assertIn("AWS::KMS::Key", found)
        self.assertIn("AWS::EC2::VPCEndpoint Interface", found)
        self.assertEqual(found, sorted(set(found)))

    def test_keys_whose_requests_are_billed(self):
        def of(**resources):
            document = {"Resources": {name: {"Type": kind, "Properties": properties} for name, (kind, properties) in resources.items()}}
            return keys(Stack({WHOLE: Template(WHOLE, document)}, WHOLE, {}))

        rule = {"ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]}
        none = of(
            Table=("AWS::DynamoDB::Table", {"SSESpecification": {"SSEEnabled": False}}),
            Topic=("AWS::SNS::Topic", {"KmsMasterKeyId": {"Ref": "AWS::NoValue"}}),
            Bucket=("AWS::S3::Bucket", {}),
            Images=("AWS::ECR::Repository", {"EncryptionConfiguration": {"EncryptionType": "AES256"}}),
        )
        self.assertEqual(none, {"table": False, "topic": False, "bucket": False, "images": False})
        every = of(
            Table=("AWS::DynamoDB::Table", {"SSESpecification": {"SSEEnabled": True}}),
            Topic=("AWS::SNS::Topic", {"KmsMasterKeyId": {"Fn::GetAtt": ["Key", "Arn"]}}),
            Bucket=("AWS::S3::Bucket", {"BucketEncryption": rule}),
            Images=("AWS::ECR::Repository", {"EncryptionConfiguration": {"EncryptionType": "KMS"}}),
        )
        self.assertEqual(every, {"table": True, "topic": True, "bucket": True, "images": True})

    def test_sizes_and_schedules(self):
        self.assertEqual(size({"Cpu": "512", "Memory": "1024"}), {"vcpu": 0.5, "gb": 1, "billed_disk_gb": 0})
        self.assertEqual(size({"Cpu": "4096", "Memory": "8192", "EphemeralStorage": {"SizeInGiB": 50}})["billed_disk_gb"], 30)
        self.assertEqual(inventory.days_between("cron(0 3 * * ? *)"), 1)
        self.assertEqual(inventory.days_between("cron(0 12 ? * SUN *)"), 7)


class Files(unittest.TestCase):
    def test_what_the_templates_make_is_current(self):
        self.assertEqual(RESOURCES.read_text(), inventory.text(), "run `cargo xtask cost --page`")

    def test_every_type_has_a_price(self):
        priced = set(json.loads((ROOT / "docs/explanation/cost/types.json").read_text()))
        self.assertEqual(priced, set(types(inventory.read())), "docs/explanation/cost/types.json says how each type is billed")


if __name__ == "__main__":
    unittest.main()
