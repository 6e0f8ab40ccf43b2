"""The Python twin: what a function does at the least, parse the event and read one item, as most teams write it."""

import os

import boto3

table = boto3.client("dynamodb")


def handler(event, context):
    push = event["detail"]
    reply = table.get_item(
        TableName=os.environ["BELLHOP_TABLE"],
        Key={"pk": {"S": f"REPO#{push['repositoryName']}"}, "sk": {"S": f"BRANCH#{push['referenceFullName']}"}},
        ConsistentRead=True,
    )
    return {"commit": push["commitId"], "known": "Item" in reply}
