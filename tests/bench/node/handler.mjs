// The Node.js twin: what a function does at the least, parse the event and read one item, as most teams write it.
import { DynamoDBClient, GetItemCommand } from "@aws-sdk/client-dynamodb";

const table = new DynamoDBClient({});

export async function handler(event) {
  const push = event.detail;
  const reply = await table.send(
    new GetItemCommand({
      TableName: process.env.BELLHOP_TABLE,
      Key: { pk: { S: `REPO#${push.repositoryName}` }, sk: { S: `BRANCH#${push.referenceFullName}` } },
      ConsistentRead: true,
    }),
  );
  return { commit: push.commitId, known: reply.Item !== undefined };
}
