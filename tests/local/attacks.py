"""What roles must not be able to do, and what one of several may: sentences with the request that IAM would be asked.

In braces stands what the deployment named: {here} is region and account. An attack is no attack if AWS knows no such request, or would not even let an
administrator do it; test_policies.py sees to both.
"""

ECS, LAMBDA, EC2, BUILD, BACKUP = (
    {"iam:PassedToService": f"{service}.amazonaws.com"} for service in ("ecs-tasks", "lambda", "ec2", "codebuild", "backup")
)
AGENTS = {"ecs:cluster": "arn:aws:ecs:{here}:cluster/ci-main"}
OF_THE_ACCOUNT = {"kms:CallerAccount": "{account}"}
OTHERS = {"ecs:cluster": "arn:aws:ecs:{here}:cluster/production"}

# By anybody: a function, an agent's job, the start of an agent, AWS Backup, the flow logs. Nobody needs any of it.
ANYBODY = [
    # Another suite of the account.
    ("reads another suite's configuration", "s3:GetObject", "arn:aws:s3:::other-suite/config/bellhop.yaml"),
    ("reads another suite's artifacts", "s3:GetObject", "arn:aws:s3:::other-suite/runs/abcdefghij/test/1/artifacts/a.zip"),
    ("leaves artifacts with another suite", "s3:PutObject", "arn:aws:s3:::other-suite/runs/abcdefghij/test/1/artifacts/a.zip"),
    ("lists another suite's bucket", "s3:ListBucket", "arn:aws:s3:::other-suite", {"s3:prefix": "runs/"}),
    ("reads another suite's ledger", "dynamodb:GetItem", "arn:aws:dynamodb:{here}:table/other-suite"),
    ("writes another suite's ledger", "dynamodb:PutItem", "arn:aws:dynamodb:{here}:table/other-suite"),
    ("speaks for another suite", "sns:Publish", "arn:aws:sns:{here}:other-suite"),
    ("starts another suite's function", "lambda:InvokeFunction", "arn:aws:lambda:{here}:function:other-suite-control"),
    # What the administrators decided.
    ("changes the suite configuration", "s3:PutObject", "arn:aws:s3:::{bucket}/config/bellhop.yaml"),
    ("deletes the suite configuration", "s3:DeleteObject", "arn:aws:s3:::{bucket}/config/bellhop.yaml"),
    ("lets others into the bucket", "s3:PutBucketPolicy", "arn:aws:s3:::{bucket}"),
    ("makes the bucket public", "s3:PutBucketPublicAccessBlock", "arn:aws:s3:::{bucket}"),
    ("stops the bucket's versions", "s3:PutBucketVersioning", "arn:aws:s3:::{bucket}"),
    # What was recorded.
    ("deletes a report", "s3:DeleteObject", "arn:aws:s3:::{bucket}/runs/abcdefghij/report.json"),
    ("deletes an earlier version of a report", "s3:DeleteObjectVersion", "arn:aws:s3:::{bucket}/runs/abcdefghij/report.json"),
    ("reads an earlier version of a report", "s3:GetObjectVersion", "arn:aws:s3:::{bucket}/runs/abcdefghij/report.json"),
    ("reads the whole ledger", "dynamodb:Scan", "arn:aws:dynamodb:{here}:table/{table}"),
    ("deletes a record", "dynamodb:DeleteItem", "arn:aws:dynamodb:{here}:table/{table}", {"dynamodb:LeadingKeys": "RUN#abcdefghij"}),
    ("deletes the ledger", "dynamodb:DeleteTable", "arn:aws:dynamodb:{here}:table/{table}"),
    ("stops the ledger's recovery", "dynamodb:UpdateContinuousBackups", "arn:aws:dynamodb:{here}:table/{table}"),
    ("deletes a recovery point", "backup:DeleteRecoveryPoint", "arn:aws:backup:{here}:recovery-point:0a1b2c3d"),
    ("deletes the vault", "backup:DeleteBackupVault", "arn:aws:backup:{here}:backup-vault:bellhop"),
    ("lets others into the vault", "backup:PutBackupVaultAccessPolicy", "arn:aws:backup:{here}:backup-vault:bellhop"),
    ("stops the weekly backup", "backup:DeleteBackupPlan", "arn:aws:backup:{here}:backup-plan:0a1b2c3d"),
    ("deletes a file system", "elasticfilesystem:DeleteFileSystem", "arn:aws:elasticfilesystem:{here}:file-system/fs-0a1b2c3d"),
    ("deletes a volume", "ec2:DeleteVolume", "arn:aws:ec2:{here}:volume/vol-0a1b2c3d"),
    ("deletes a log", "logs:DeleteLogGroup", "arn:aws:logs:{here}:log-group:/aws/lambda/bellhop-push"),
    ("reads a log", "logs:GetLogEvents", "arn:aws:logs:{here}:log-group:/bellhop-agents/agents:log-stream:small/agent/0a1b"),
    # More rights.
    ("becomes an administrator", "sts:AssumeRole", "arn:aws:iam::{account}:role/administrator"),
    ("has an agent run as an administrator", "iam:PassRole", "arn:aws:iam::{account}:role/administrator", ECS),
    ("has an agent run as a function", "iam:PassRole", "{push_role}", ECS),
    ("has a function run as an agent", "iam:PassRole", "{agent_role}", LAMBDA),
    ("has an instance run as an agent", "iam:PassRole", "{agent_role}", EC2),
    ("has CodeBuild run as a function", "iam:PassRole", "{push_role}", BUILD),
    ("has AWS Backup work as an agent", "iam:PassRole", "{agent_role}", BACKUP),
    ("has an agent run as AWS Backup", "iam:PassRole", "{backup_role}", ECS),
    ("has AWS Backup work as an administrator", "iam:PassRole", "arn:aws:iam::{account}:role/administrator", BACKUP),
    ("makes a role", "iam:CreateRole", "arn:aws:iam::{account}:role/bellhop-agent/mine"),
    ("writes its own policy", "iam:PutRolePolicy", "{own_role}"),
    ("writes a function's policy", "iam:AttachRolePolicy", "{push_role}"),
    ("gives an agent's role a policy", "iam:AttachRolePolicy", "{agent_role}"),
    ("says who may assume an agent's role", "iam:UpdateAssumeRolePolicy", "{agent_role}"),
    ("makes another version of a policy", "iam:CreatePolicyVersion", "arn:aws:iam::{account}:policy/bellhop-LedgerPolicy"),
    ("makes a key for a person", "iam:CreateAccessKey", "arn:aws:iam::{account}:user/ada"),
    # The suite's own parts.
    ("writes its own code, or else a function's", "lambda:UpdateFunctionCode", "arn:aws:lambda:{here}:function:{own_function}"),
    ("writes its own variables, or else a function's", "lambda:UpdateFunctionConfiguration", "arn:aws:lambda:{here}:function:{own_function}"),
    ("lets others start a function", "lambda:AddPermission", "arn:aws:lambda:{here}:function:bellhop-control"),
    ("starts a function", "lambda:InvokeFunction", "arn:aws:lambda:{here}:function:bellhop-control"),
    ("makes up an event of the function URL", "lambda:InvokeFunction", "arn:aws:lambda:{here}:function:bellhop-control-url"),
    ("sends a request to the function URL", "lambda:InvokeFunctionUrl", "arn:aws:lambda:{here}:function:bellhop-control-url"),
    ("opens the function URL to everybody", "lambda:UpdateFunctionUrlConfig", "arn:aws:lambda:{here}:function:bellhop-control-url"),
    ("makes a function URL of control", "lambda:CreateFunctionUrlConfig", "arn:aws:lambda:{here}:function:bellhop-control"),
    ("stops a function", "lambda:PutFunctionConcurrency", "arn:aws:lambda:{here}:function:bellhop-sweep"),
    ("stops a rule", "events:DisableRule", "arn:aws:events:{here}:rule/bellhop-SweepFunctionEveryMinute"),
    ("makes up an event", "events:PutEvents", "arn:aws:events:{here}:event-bus/default"),
    ("silences an alarm", "cloudwatch:DisableAlarmActions", "arn:aws:cloudwatch:{here}:alarm:bellhop-direct-sweep-missing"),
    ("makes up an alarm", "cloudwatch:SetAlarmState", "arn:aws:cloudwatch:{here}:alarm:controller"),
    ("changes the stack", "cloudformation:UpdateStack", "arn:aws:cloudformation:{here}:stack/bellhop/0a1b2c3d"),
    ("deletes the stack", "cloudformation:DeleteStack", "arn:aws:cloudformation:{here}:stack/bellhop/0a1b2c3d"),
    ("reads what could not be worked off", "sqs:ReceiveMessage", "{push_queue}"),
    ("throws away what could not be worked off", "sqs:PurgeQueue", "{push_queue}"),
    ("listens to what people are told", "sns:Subscribe", "{topic}"),
    ("says who may listen", "sns:SetTopicAttributes", "{topic}"),
    ("uses the suite's key for something else", "kms:Decrypt", "{key}", {**OF_THE_ACCOUNT, "kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}),
    ("uses the suite's key by itself", "kms:Decrypt", "{key}", OF_THE_ACCOUNT),
    ("gives the suite's key away", "kms:PutKeyPolicy", "{key}"),
    ("has the suite's key deleted", "kms:ScheduleKeyDeletion", "{key}"),
    ("uses somebody else's key", "kms:Decrypt", "arn:aws:kms:{here}:key/0a1b2c3d", {**OF_THE_ACCOUNT, "kms:ViaService": "sns.us-east-1.amazonaws.com"}),
    # Sources, images and secrets.
    ("pushes a commit", "codecommit:GitPush", "arn:aws:codecommit:{here}:shop"),
    ("commits a file", "codecommit:PutFile", "arn:aws:codecommit:{here}:shop"),
    ("merges a pull request", "codecommit:MergePullRequestByFastForward", "arn:aws:codecommit:{here}:shop"),
    ("deletes a repository", "codecommit:DeleteRepository", "arn:aws:codecommit:{here}:shop"),
    ("changes what the agents' image is made of", "s3:PutObject", "arn:aws:s3:::{bucket}/images/agent.zip"),
    ("has the agents' image built", "codebuild:StartBuild", "arn:aws:codebuild:{here}:project/bellhop-agents-agent-image"),
    ("gives some agents another image", "ecr:PutImage", "arn:aws:ecr:{here}:repository/bellhop-agent-java"),
    ("deletes an image", "ecr:BatchDeleteImage", "arn:aws:ecr:{here}:repository/ci/shop"),
    ("lets others into a registry", "ecr:SetRepositoryPolicy", "arn:aws:ecr:{here}:repository/ci/shop"),
    ("reads another repository's secret", "secretsmanager:GetSecretValue", "arn:aws:secretsmanager:{here}:secret:/bellhop/payroll/npm-token-a1b2c3"),
    ("reads another repository's parameter", "ssm:GetParameter", "arn:aws:ssm:{here}:parameter/bellhop/payroll/npm-token"),
    ("reads a parameter of a repository whose name begins alike", "ssm:GetParameter", "arn:aws:ssm:{here}:parameter/bellhop/shop-api/npm-token"),
    ("changes a secret", "secretsmanager:PutSecretValue", "arn:aws:secretsmanager:{here}:secret:/bellhop/shop/npm-token-a1b2c3"),
    ("changes a parameter", "ssm:PutParameter", "arn:aws:ssm:{here}:parameter/bellhop/shop/npm-token"),
    # What others run.
    ("starts others' task", "ecs:RunTask", "arn:aws:ecs:{here}:task-definition/production:1", AGENTS),
    ("starts an agent in others' cluster", "ecs:RunTask", "arn:aws:ecs:{here}:task-definition/bellhop-agent-small:1", OTHERS),
    ("makes a task definition", "ecs:RegisterTaskDefinition", "arn:aws:ecs:{here}:task-definition/bellhop-agent-small:2"),
    ("stops others' task", "ecs:StopTask", "arn:aws:ecs:{here}:task/production/0a1b2c3d", OTHERS),
    ("opens a shell in an agent", "ecs:ExecuteCommand", "arn:aws:ecs:{here}:task/ci-main/0a1b2c3d", AGENTS),
    ("restarts others' service", "ecs:UpdateService", "arn:aws:ecs:{here}:service/production/web"),
    ("deletes a service", "ecs:DeleteService", "arn:aws:ecs:{here}:service/ci-main/jenkins"),
    ("drains others' instance", "ecs:UpdateContainerInstancesState", "arn:aws:ecs:{here}:container-instance/production/0a1b2c3d", OTHERS),
    ("starts others' build", "codebuild:StartBuild", "arn:aws:codebuild:{here}:project/production"),
    ("starts others' execution", "states:StartExecution", "arn:aws:states:{here}:stateMachine:production"),
    ("stops others' execution", "states:StopExecution", "arn:aws:states:{here}:execution:production:0a1b2c3d"),
    ("reads others' execution", "states:DescribeExecution", "arn:aws:states:{here}:execution:production:0a1b2c3d"),
    ("changes an agent's state machine", "states:UpdateStateMachine", "arn:aws:states:{here}:stateMachine:bellhop-agent-release"),
    ("changes the agents' project", "codebuild:UpdateProject", "arn:aws:codebuild:{here}:project/ci-docker"),
    ("starts others' pipeline", "codepipeline:StartPipelineExecution", "arn:aws:codepipeline:{here}:shop"),
    ("approves a deployment", "codepipeline:PutApprovalResult", "arn:aws:codepipeline:{here}:shop/production/approval"),
]

# By an agent, which runs other people's scripts: its job's role, the role that starts it, and the project's.
AGENT = [
    ("reads the suite configuration", "s3:GetObject", "arn:aws:s3:::{bucket}/config/bellhop.yaml"),
    ("reads a run's report", "s3:GetObject", "arn:aws:s3:::{bucket}/runs/abcdefghij/report.json"),
    ("writes a run's report", "s3:PutObject", "arn:aws:s3:::{bucket}/runs/abcdefghij/report.json"),
    ("reads another agent's report", "s3:GetObject", "arn:aws:s3:::{bucket}/runs/klmnopqrst/{other_id}/test/1/result.json"),
    ("reads an artifact of a repository with a role", "s3:GetObject", "arn:aws:s3:::{bucket}/repositories/payroll/klmnopqrst/{other_id}/test/1/artifacts/a.zip"),
    (
        "reads a version of an artifact of a repository with a role",
        "s3:GetObjectVersion",
        "arn:aws:s3:::{bucket}/repositories/payroll/klmnopqrst/{other_id}/test/1/artifacts/a.zip",
    ),
    ("reports for another agent", "s3:PutObject", "arn:aws:s3:::{bucket}/runs/klmnopqrst/{other_id}/test/1/result.json"),
    ("leaves an artifact for another agent", "s3:PutObject", "arn:aws:s3:::{bucket}/runs/klmnopqrst/{other_id}/test/1/artifacts/a.zip"),
    ("names a folder in another agent's after itself", "s3:PutObject", "arn:aws:s3:::{bucket}/runs/klmnopqrst/{other_id}/test/1/artifacts/{own_id}/a.zip"),
    ("leaves a file beside the folders", "s3:PutObject", "arn:aws:s3:::{bucket}/runs/klmnopqrst/test/1/result.json"),
    ("leaves a folder at no run", "s3:PutObject", "arn:aws:s3:::{bucket}/runs/{own_id}/test/1/result.json"),
    ("gives another build a script", "s3:PutObject", "arn:aws:s3:::{bucket}/scripts/shop/0a1b2c3d"),
    ("lists the bucket", "s3:ListBucket", "arn:aws:s3:::{bucket}", {"s3:prefix": "runs/"}),
    ("reads the ledger", "dynamodb:GetItem", "arn:aws:dynamodb:{here}:table/{table}"),
    ("looks through the ledger", "dynamodb:Query", "arn:aws:dynamodb:{here}:table/{table}"),
    ("writes the ledger", "dynamodb:PutItem", "arn:aws:dynamodb:{here}:table/{table}"),
    ("tells people something", "sns:Publish", "{topic}"),
    ("starts an agent", "ecs:RunTask", "arn:aws:ecs:{here}:task-definition/bellhop-agent-deploy:1", AGENTS),
    ("stops an agent", "ecs:StopTask", "arn:aws:ecs:{here}:task/ci-main/0a1b2c3d", AGENTS),
    ("looks at agents", "ecs:DescribeTasks", "arn:aws:ecs:{here}:task/ci-main/0a1b2c3d", AGENTS),
    ("starts a build", "codebuild:StartBuild", "arn:aws:codebuild:{here}:project/ci-docker"),
    ("stops a build", "codebuild:StopBuild", "arn:aws:codebuild:{here}:project/ci-docker"),
    ("starts an execution", "states:StartExecution", "arn:aws:states:{here}:stateMachine:bellhop-agent-release"),
    ("stops an execution", "states:StopExecution", "arn:aws:states:{here}:execution:bellhop-agent-release:0a1b2c3d"),
    ("ends an action of a pipeline", "codepipeline:PutJobSuccessResult", "*"),
    ("starts a backup", "backup:StartBackupJob", "arn:aws:backup:{here}:backup-vault:bellhop"),
    ("has a task run as an agent", "iam:PassRole", "{agent_role}", ECS),
    ("has CodeBuild run as an agent", "iam:PassRole", "{agent_role}", BUILD),
    ("has a task run as the agents that deploy", "iam:PassRole", "{deploy_role}", ECS),
    ("becomes itself, under a name of its choice", "sts:AssumeRole", "{own_role}"),
    ("becomes another agent", "sts:AssumeRole", "{deploy_role}"),
    ("becomes an agent of a protected branch", "sts:AssumeRole", "{protected_role}"),
    ("reports for a repository's agent", "s3:PutObject", "arn:aws:s3:::{bucket}/repositories/shop/klmnopqrst/{other_id}/test/1/result.json"),
    (
        "names a folder in a repository's agent's after itself",
        "s3:PutObject",
        "arn:aws:s3:::{bucket}/repositories/shop/klmnopqrst/{other_id}/test/1/artifacts/{own_id}/a.zip",
    ),
    ("becomes a function", "sts:AssumeRole", "{push_role}"),
    ("becomes AWS Backup", "sts:AssumeRole", "{backup_role}"),
    ("writes a function's log", "logs:PutLogEvents", "arn:aws:logs:{here}:log-group:/aws/lambda/bellhop-push:log-stream:a"),
    ("hands something to a function's queue", "sqs:SendMessage", "{push_queue}"),
]

# By a job that has the role of its repository, shop, on any branch or tag.
REPOSITORY = [
    ("reads another repository", "codecommit:GitPull", "arn:aws:codecommit:{here}:payroll"),
    ("reads another repository's script", "s3:GetObject", "arn:aws:s3:::{bucket}/scripts/payroll/0a1b2c3d"),
    ("reads an artifact of a shared agent", "s3:GetObject", "arn:aws:s3:::{bucket}/runs/klmnopqrst/{other_id}/test/1/artifacts/a.zip"),
    ("reads an artifact of another repository's build", "s3:GetObject", "arn:aws:s3:::{bucket}/builds/payroll/klmnopqrst/test/1/0a1b2c3d/artifacts/a.zip"),
    ("leaves an artifact for another repository's build", "s3:PutObject", "arn:aws:s3:::{bucket}/builds/payroll/klmnopqrst/test/1/0a1b2c3d/artifacts/a.zip"),
    ("leaves a folder with another repository", "s3:PutObject", "arn:aws:s3:::{bucket}/repositories/payroll/klmnopqrst/{own_id}/test/1/result.json"),
    ("leaves a folder with the shared agents", "s3:PutObject", "arn:aws:s3:::{bucket}/runs/klmnopqrst/{own_id}/test/1/result.json"),
    ("pushes another repository's image", "ecr:PutImage", "arn:aws:ecr:{here}:repository/ci/payroll"),
    ("pushes the agents' own image", "ecr:PutImage", "arn:aws:ecr:{here}:repository/bellhop-agent"),
    ("becomes another target's role", "sts:AssumeRole", "arn:aws:iam::{account}:role/bellhop-deploy/payroll"),
]

# What some may and others may not: the roles of functions that may, by their functions' names; no other function may.
BUILDERS = ["push", "task-state", "build-state", "spot-interruption", "alarm", "pipeline", "control", "sweep"]
SOME = [
    ("restarts a service", "ecs:UpdateService", "arn:aws:ecs:{here}:service/ci-main/jenkins", {}, ["alarm"]),
    ("starts a backup", "backup:StartBackupJob", "arn:aws:backup:{here}:backup-vault:bellhop", {}, ["backup"]),
    ("restores", "backup:StartRestoreJob", "arn:aws:backup:{here}:recovery-point:0a1b2c3d", {}, ["backup"]),
    ("passes a role to AWS Backup", "iam:PassRole", "{backup_role}", BACKUP, ["backup"]),
    ("removes what a restore test made", "dynamodb:DeleteTable", "arn:aws:dynamodb:{here}:table/bellhop-restore-test-a", {}, ["backup"]),
    ("drains an instance", "ecs:UpdateContainerInstancesState", "arn:aws:ecs:{here}:container-instance/ci-main/0a1b", AGENTS, ["spot-interruption"]),
    ("starts an agent's execution", "states:StartExecution", "arn:aws:states:{here}:stateMachine:bellhop-agent-release", {}, BUILDERS),
    ("stops an agent's execution", "states:StopExecution", "arn:aws:states:{here}:execution:bellhop-agent-release:0a1b2c3d", {}, BUILDERS),
    ("has CodeBuild run as an agent", "iam:PassRole", "{agent_role}", BUILD, BUILDERS),
    ("wakes a function", "sns:Publish", "{wake_topic}", {}, ["alarm", "sweep"]),
    ("reads the timers", "sqs:ReceiveMessage", "{timer_queue}", {}, ["sweep"]),
    ("writes push's log", "logs:PutLogEvents", "arn:aws:logs:{here}:log-group:/aws/lambda/bellhop-push:log-stream:a", {}, ["push"]),
    ("hands over what push could not finish", "sqs:SendMessage", "{push_queue}", {}, ["push"]),
    ("takes a build out of the line", "dynamodb:DeleteItem", "arn:aws:dynamodb:{here}:table/{table}", {"dynamodb:LeadingKeys": "WAITING#small"}, BUILDERS),
    ("looks for what is due", "dynamodb:Query", "arn:aws:dynamodb:{here}:table/{table}/index/due", {}, ["sweep"]),
    ("lists runs", "dynamodb:Query", "arn:aws:dynamodb:{here}:table/{table}/index/by-repository", {}, ["control"]),
    ("lists all runs", "dynamodb:Query", "arn:aws:dynamodb:{here}:table/{table}/index/by-class", {}, ["control"]),
    ("reads a pipeline file", "codecommit:GetFile", "arn:aws:codecommit:{here}:shop", {}, ["push", "pipeline", "control"]),
    (
        "reads the suite configuration",
        "s3:GetObject",
        "arn:aws:s3:::{bucket}/config/bellhop.yaml",
        {},
        ["push", "pipeline", "control", "spot-interruption", "alarm", "backup", "sweep"],
    ),
    ("gives all agents another image", "ecr:PutImage", "arn:aws:ecr:{here}:repository/bellhop-agent", {}, []),
    (
        "keeps a script, or a list of files to fetch",
        "s3:PutObject",
        "arn:aws:s3:::{bucket}/scripts/shop/0a1b2c3d",
        {},
        ["push", "task-state", "build-state", "spot-interruption", "alarm", "pipeline", "control", "sweep"],
    ),
    (
        "starts an agent",
        "ecs:RunTask",
        "arn:aws:ecs:{here}:task-definition/bellhop-agent-small:1",
        AGENTS,
        ["push", "task-state", "build-state", "spot-interruption", "alarm", "pipeline", "control", "sweep"],
    ),
    (
        "ends an action of a pipeline",
        "codepipeline:PutJobSuccessResult",
        "*",
        {},
        ["push", "task-state", "build-state", "spot-interruption", "alarm", "pipeline", "control", "sweep"],
    ),
]

# What agents do, by the roles that may; no other role of an agent may.
TESTS = ["TestTaskRole", "PublishTaskRole", "DeployTaskRole"]
OWN = ["RepositoryRole", "ProtectedRole"]
WORK = [
    ("checks out", "codecommit:GitPull", "arn:aws:codecommit:{here}:shop", {}, [*TESTS, *OWN, "CodeBuildRole"]),
    ("reads its script", "s3:GetObject", "arn:aws:s3:::{bucket}/scripts/shop/0a1b2c3d", {}, [*TESTS, *OWN]),
    ("reports", "s3:PutObject", "arn:aws:s3:::{bucket}/runs/abcdefghij/{own_id}/test/1/result.json", {}, TESTS),
    ("leaves an artifact", "s3:PutObject", "arn:aws:s3:::{bucket}/runs/abcdefghij/{own_id}/test/1/artifacts/a.zip", {}, TESTS),
    ("leaves a build's artifact", "s3:PutObject", "arn:aws:s3:::{bucket}/builds/shop/abcdefghij/test/1/0a1b2c3d/artifacts/a.zip", {}, [*OWN, "CodeBuildRole"]),
    ("reports as an agent of a repository", "s3:PutObject", "arn:aws:s3:::{bucket}/repositories/shop/abcdefghij/{own_id}/test/1/result.json", {}, OWN),
    (
        "leaves an artifact as an agent of a repository",
        "s3:PutObject",
        "arn:aws:s3:::{bucket}/repositories/shop/abcdefghij/{own_id}/test/1/artifacts/a.zip",
        {},
        OWN,
    ),
    (
        "gives up a large artifact of a repository",
        "s3:AbortMultipartUpload",
        "arn:aws:s3:::{bucket}/repositories/shop/abcdefghij/{own_id}/test/1/artifacts/a.zip",
        {},
        OWN,
    ),
    ("reads another job's artifact", "s3:GetObject", "arn:aws:s3:::{bucket}/runs/klmnopqrst/{other_id}/test/1/artifacts/a.zip", {}, TESTS),
    ("reads a version of another job's artifact", "s3:GetObjectVersion", "arn:aws:s3:::{bucket}/runs/klmnopqrst/{other_id}/test/1/artifacts/a.zip", {}, TESTS),
    ("reads a build's artifact", "s3:GetObject", "arn:aws:s3:::{bucket}/builds/shop/klmnopqrst/test/1/0a1b2c3d/artifacts/a.zip", {}, [*TESTS, *OWN]),
    (
        "reads a version of a build's artifact",
        "s3:GetObjectVersion",
        "arn:aws:s3:::{bucket}/builds/shop/klmnopqrst/test/1/0a1b2c3d/artifacts/a.zip",
        {},
        [*TESTS, *OWN],
    ),
    (
        "reads its repository's artifacts",
        "s3:GetObject",
        "arn:aws:s3:::{bucket}/repositories/shop/klmnopqrst/{other_id}/test/1/artifacts/a.zip",
        {},
        OWN,
    ),
    (
        "reads a version of its repository's artifacts",
        "s3:GetObjectVersion",
        "arn:aws:s3:::{bucket}/repositories/shop/klmnopqrst/{other_id}/test/1/artifacts/a.zip",
        {},
        OWN,
    ),
    ("reads its repository's parameter", "ssm:GetParameters", "arn:aws:ssm:{here}:parameter/bellhop/shop/npm-token", {}, OWN),
    ("reads its repository's secret", "secretsmanager:GetSecretValue", "arn:aws:secretsmanager:{here}:secret:/bellhop/shop/npm-token-a1b2c3", {}, OWN),
    ("reads a protected parameter", "ssm:GetParameters", "arn:aws:ssm:{here}:parameter/bellhop/shop/protected/key", {}, ["ProtectedRole"]),
    (
        "reads a protected secret",
        "secretsmanager:GetSecretValue",
        "arn:aws:secretsmanager:{here}:secret:/bellhop/shop/protected/key-a1b2c3",
        {},
        ["ProtectedRole"],
    ),
    ("gives up a large artifact", "s3:AbortMultipartUpload", "arn:aws:s3:::{bucket}/runs/abcdefghij/{own_id}/test/1/artifacts/a.zip", {}, TESTS),
    ("logs in to the registry", "ecr:GetAuthorizationToken", "*", {}, ["PublishTaskRole", "ExecutionRole", "CodeBuildRole", "AgentImageRole", "ProtectedRole"]),
    ("reads what the agents' image is made of", "s3:GetObject", "arn:aws:s3:::{bucket}/images/agent.zip", {}, ["AgentImageRole"]),
    ("gives all agents another image", "ecr:PutImage", "arn:aws:ecr:{here}:repository/bellhop-agent", {}, ["AgentImageRole"]),
    ("pushes an image", "ecr:PutImage", "arn:aws:ecr:{here}:repository/ci/shop", {}, ["PublishTaskRole", "CodeBuildRole", "ProtectedRole"]),
    ("becomes a target's role", "sts:AssumeRole", "arn:aws:iam::{account}:role/bellhop-deploy/shop", {}, ["DeployTaskRole", "ProtectedRole"]),
    ("pulls the agents' image", "ecr:BatchGetImage", "arn:aws:ecr:{here}:repository/bellhop-agent", {}, ["ExecutionRole", "AgentImageRole"]),
    ("pulls another image of agents", "ecr:GetDownloadUrlForLayer", "arn:aws:ecr:{here}:repository/bellhop-agent-java", {}, ["ExecutionRole"]),
    ("logs as an agent", "logs:PutLogEvents", "arn:aws:logs:{here}:log-group:/bellhop-agents/agents:log-stream:small/agent/0a1b", {}, ["ExecutionRole"]),
    ("logs as a build", "logs:PutLogEvents", "arn:aws:logs:{here}:log-group:/bellhop-agents/builds:log-stream:0a1b", {}, ["CodeBuildRole", *OWN]),
    ("logs as the image's build", "logs:PutLogEvents", "arn:aws:logs:{here}:log-group:/bellhop-agents/agent-image:log-stream:0a1b", {}, ["AgentImageRole"]),
    ("looks whose the bucket is", "s3:GetBucketAcl", "arn:aws:s3:::{bucket}", {}, ["CodeBuildRole", "AgentImageRole", *OWN]),
]

# What agents may do to each other by default, although they need not: allowed today, so that an agent template with a role of its own is the way out (see
# docs/how-to/agents.md). What is denied some day moves to `AGENT`.
OPEN = [
    # These need to know what others do not tell: the id of a task, or of a build of CodeBuild, or the hash of a script.
    ("reads an artifact of any job with a shared role", "s3:GetObject", "arn:aws:s3:::{bucket}/runs/klmnopqrst/{other_id}/test/1/artifacts/a.zip", "TestTaskRole"),
    (
        "reads an artifact of another repository's build of CodeBuild",
        "s3:GetObject",
        "arn:aws:s3:::{bucket}/builds/payroll/klmnopqrst/test/1/0a1b2c3d/artifacts/a.zip",
        "TestTaskRole",
    ),
    (
        "leaves an artifact for another build of CodeBuild",
        "s3:PutObject",
        "arn:aws:s3:::{bucket}/builds/shop/klmnopqrst/test/1/0a1b2c3d/artifacts/a.zip",
        "CodeBuildRole",
    ),
    ("reads another build's script", "s3:GetObject", "arn:aws:s3:::{bucket}/scripts/payroll/0a1b2c3d", "TestTaskRole"),
    ("reads any repository", "codecommit:GitPull", "arn:aws:codecommit:{here}:payroll", "TestTaskRole"),
    ("pushes any repository's image", "ecr:PutImage", "arn:aws:ecr:{here}:repository/ci/payroll", "PublishTaskRole"),
]

# Who may assume which role: the services, and what each says of the source. Nobody else may.
ACCOUNT_ONLY = {"aws:SourceAccount": "{account}"}
TASKS = ("ecs-tasks.amazonaws.com", {**ACCOUNT_ONLY, "aws:SourceArn": "arn:aws:ecs:{here}:task/ci-main/0a1b2c3d"})
BUILDS = ("codebuild.amazonaws.com", {**ACCOUNT_ONLY, "aws:SourceArn": "arn:aws:codebuild:{here}:project/ci-docker"})
IMAGE = ("codebuild.amazonaws.com", {**ACCOUNT_ONLY, "aws:SourceArn": "arn:aws:codebuild:{here}:project/bellhop-agents-agent-image"})
TRUST = {
    "BackupServiceRole": [("backup.amazonaws.com", {})],
    "TestTaskRole": [TASKS],
    "PublishTaskRole": [TASKS],
    "DeployTaskRole": [TASKS],
    "ExecutionRole": [TASKS],
    "CodeBuildRole": [BUILDS],
    "AgentImageRole": [IMAGE],
    "RepositoryRole": [TASKS, BUILDS],
    "ProtectedRole": [TASKS, BUILDS],
    "FlowLogRole": [("vpc-flow-logs.amazonaws.com", ACCOUNT_ONLY)],
}

# What services do for the suite, and others may not: who, action, resource, what the request carries, and whether it is allowed.
SERVICES = [
    ("events.amazonaws.com", "sqs:SendMessage", "{push_queue}", {"aws:SourceArn": "{push_rule}"}, True),
    ("events.amazonaws.com", "sqs:SendMessage", "{push_queue}", {"aws:SourceArn": "arn:aws:events:{here}:rule/others"}, False),
    ("sns.amazonaws.com", "sqs:SendMessage", "{push_queue}", {"aws:SourceArn": "{push_rule}"}, False),
    ("cloudwatch.amazonaws.com", "sns:Publish", "{topic}", {**ACCOUNT_ONLY, "aws:SourceArn": "arn:aws:cloudwatch:{here}:alarm:bellhop-direct-a"}, True),
    ("cloudwatch.amazonaws.com", "sns:Publish", "{topic}", {**ACCOUNT_ONLY, "aws:SourceArn": "arn:aws:cloudwatch:{here}:alarm:others"}, False),
    (
        "cloudwatch.amazonaws.com",
        "sns:Publish",
        "{topic}",
        {"aws:SourceAccount": "999999999999", "aws:SourceArn": "arn:aws:cloudwatch:us-east-1:999999999999:alarm:bellhop-direct-a"},
        False,
    ),
    ("cloudwatch.amazonaws.com", "kms:GenerateDataKey", "{key}", ACCOUNT_ONLY, True),
    ("cloudwatch.amazonaws.com", "kms:GenerateDataKey", "{key}", {"aws:SourceAccount": "999999999999"}, False),
    ("PushRole", "sns:Publish", "{topic}", {"aws:SecureTransport": "false"}, False),
    ("PushRole", "s3:GetObject", "arn:aws:s3:::{bucket}/config/bellhop.yaml", {"aws:SecureTransport": "false"}, False),
    ("TestTaskRole", "s3:PutObject", "arn:aws:s3:::{bucket}/runs/abcdefghij/{own_id}/test/1/artifacts/a.zip", {"aws:SecureTransport": "false"}, False),
]
