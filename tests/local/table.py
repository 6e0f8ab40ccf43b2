"""Prints the suite's table as a request to make it, for implementations of DynamoDB that know no CloudFormation."""

import json

import infra

# How the table is kept, which no request or answer of the ledger shows.
LEFT_OUT = {"PointInTimeRecoverySpecification", "SSESpecification", "Tags", "TimeToLiveSpecification"}


def definition():
    [table] = infra.Template.read(infra.SUITE).of_type("AWS::DynamoDB::Table").values()
    return {name: value for name, value in table.items() if name not in LEFT_OUT}


if __name__ == "__main__":
    print(json.dumps(definition()))
