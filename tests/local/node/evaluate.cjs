// Has iam-simulate evaluate requests against policies. Reads a document from standard input,
//
//   {"documents": {NAME: POLICY}, "requests": [{"principal", "policies": [NAME], "resourcePolicy": NAME, "action", "resource", "account", "context"}]}
//
// and prints, for each request, what came of it: {"result", "by": [[NAME, SID]], "ignored": [KEY]}, or {"error"}. `by` are the statements that allow it,
// or those that deny it; `ignored` are keys of the context that AWS does not give with this action.

const { runSimulation } = require("@cloud-copilot/iam-simulate");

async function evaluate({ documents, requests }) {
  const answers = [];
  for (const request of requests) {
    const outcome = await runSimulation(
      {
        request: {
          principal: request.principal,
          action: request.action,
          resource: { resource: request.resource, accountId: request.account },
          contextVariables: request.context,
        },
        identityPolicies: request.policies.map((name) => ({ name, policy: documents[name] })),
        resourcePolicy: request.resourcePolicy && documents[request.resourcePolicy],
        serviceControlPolicies: [],
        resourceControlPolicies: [],
      },
      {},
    );
    answers.push(outcome.resultType === "error" ? { error: JSON.stringify(outcome.errors) } : answer(outcome, request));
  }
  return answers;
}

function answer(outcome, request) {
  const results = outcome.resultType === "single" ? [outcome.result] : outcome.results;
  const by = [];
  for (const { analysis } of results) {
    const kind = analysis.result === "Allowed" ? "allowStatements" : "denyStatements";
    for (const { policyId, statement } of analysis.identityAnalysis?.[kind] ?? []) by.push([policyId, statement.sid()]);
    for (const { statement } of analysis.resourceAnalysis?.[kind] ?? []) by.push([request.resourcePolicy, statement.sid()]);
  }
  return { result: outcome.overallResult, by, ignored: results.flatMap(({ ignoredContextKeys }) => ignoredContextKeys ?? []) };
}

const chunks = [];
process.stdin.on("data", (chunk) => chunks.push(chunk));
process.stdin.on("end", async () => {
  console.log(JSON.stringify(await evaluate(JSON.parse(Buffer.concat(chunks)))));
});
