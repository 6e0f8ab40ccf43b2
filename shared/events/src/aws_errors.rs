//! What AWS's refusals mean: one table for the errors of every service, for the `failures` of RunTask and for the reasons of tasks that never came up.
//!
//! The words count before the codes, because ECS passes what EC2 and Fargate say on under the codes of a caller's own mistakes.

/// What a refusal means for what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A rate limit. It is asked again within seconds.
    Throttled,
    /// A limit of the account on what may be there at once. It is asked again later, on the same capacity.
    AccountLimit,
    /// There is none of this capacity now. Spot gives way to on-demand, and on-demand waits.
    NoCapacity,
    /// The service's own trouble. It is asked again, and what came of the first time is open.
    Transient,
    /// It can never succeed as it was asked.
    Permanent,
    /// The table does not know it.
    Unknown,
}

/// One line of the table: the class of a refusal that has one of the codes, or one of the words in its text. A `reason` of RunTask's failures is text.
pub struct Rule {
    /// What such a refusal means.
    pub class: Class,
    /// Error codes, or what a `reason` begins with.
    pub codes: &'static [&'static str],
    /// Parts of the text.
    pub words: &'static [&'static str],
    /// Where AWS says so.
    pub source: &'static str,
}

/// The first rule that fits decides.
pub const RULES: [Rule; 13] = [
    Rule {
        class: Class::Throttled,
        codes: &[],
        words: &[
            "Rate exceeded",
            "Throttling",
            "Request limit exceeded",
            "RequestLimitExceeded",
            "toomanyrequests",
            "Too Many Requests",
        ],
        source: "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/throttling.html",
    },
    Rule {
        class: Class::AccountLimit,
        codes: &[],
        words: &[
            "reached the limit on the number of",
            "configuration is above your limit",
            "Tasks provisioning capacity limit exceeded",
            "InsufficientFreeAddressesInSubnet",
            "AddressLimitExceeded",
            "NetworkInterfaceLimitExceeded",
            "VcpuLimitExceeded",
        ],
        source: "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html",
    },
    Rule {
        class: Class::NoCapacity,
        codes: &[],
        words: &[
            "Capacity is unavailable at this time",
            "No Container Instances were found in your",
            "EMPTY CAPACITY PROVIDER",
            "NO ACTIVE INSTANCES",
            "placement constraint unsatisfied",
        ],
        source: "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html",
    },
    Rule {
        class: Class::Transient,
        codes: &[],
        words: &[
            "Unable to assume the service linked role",
            "InternalError",
            "Internal error",
            "internal error",
            "Timeout waiting for network interface provisioning",
            "Timeout waiting for EphemeralStorage provisioning",
            "netplugin failed",
        ],
        source: "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html",
    },
    // A role, or its policy, that was made a moment ago is not known everywhere yet.
    Rule {
        class: Class::Unknown,
        codes: &[],
        words: &["was unable to assume", "is not authorized to perform"],
        source: "https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency",
    },
    Rule {
        class: Class::Throttled,
        codes: &[
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "ThrottlingError",
            "Throttled",
            "KMSThrottling",
            "KmsThrottlingException",
            "EC2ThrottledException",
            "BandwidthLimitExceeded",
            "PriorRequestNotComplete",
            "TooManyRequestsException",
            "RequestLimitExceeded",
            "ProvisionedThroughputExceeded",
            "ProvisionedThroughputExceededException",
            "RequestThrottled",
            "RequestThrottledException",
            "SlowDown",
        ],
        words: &[],
        source: "https://docs.aws.amazon.com/AmazonECS/latest/APIReference/CommonErrors.html",
    },
    Rule {
        class: Class::AccountLimit,
        codes: &[
            "AccountLimitExceededException",
            "LimitExceededException",
            "ServiceQuotaExceededException",
        ],
        words: &[],
        source: "https://docs.aws.amazon.com/codebuild/latest/APIReference/API_StartBuild.html",
    },
    Rule {
        class: Class::AccountLimit,
        codes: &["ExecutionLimitExceeded"],
        words: &[],
        source: STEP_FUNCTIONS,
    },
    Rule {
        class: Class::Transient,
        codes: &[
            "InternalError",
            "InternalErrorException",
            "InternalFailure",
            "InternalServerError",
            "RequestTimeout",
            "RequestTimeoutException",
            "ServerException",
            "ServiceUnavailable",
            "ServiceUnavailableException",
            "TransactionConflict",
            "TransactionConflictException",
            "TransactionInProgressException",
        ],
        words: &[],
        source: "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html",
    },
    Rule {
        class: Class::NoCapacity,
        codes: &["AGENT", "RESOURCE"],
        words: &[],
        source: "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html",
    },
    Rule {
        class: Class::Permanent,
        codes: &["ATTRIBUTE", "INACTIVE", "LOCATION", "MISSING"],
        words: &[],
        source: "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html",
    },
    Rule {
        class: Class::Permanent,
        codes: &[
            "BlockedException",
            "ClientException",
            "ClusterNotFoundException",
            "InvalidInputException",
            "InvalidParameterException",
            "PlatformTaskDefinitionIncompatibilityException",
            "PlatformUnknownException",
            "ResourceNotFoundException",
            "UnsupportedFeatureException",
            "ValidationException",
        ],
        words: &[],
        source: "https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html",
    },
    Rule {
        class: Class::Permanent,
        codes: &[
            "InvalidArn",
            "InvalidExecutionInput",
            "InvalidName",
            "StateMachineDeleting",
            "StateMachineDoesNotExist",
        ],
        words: &[],
        source: STEP_FUNCTIONS,
    },
];

/// The errors of `StartExecution`.
const STEP_FUNCTIONS: &str = "https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html";

impl Class {
    /// The class of an error by its code and its text.
    #[must_use]
    pub fn of_error(code: &str, text: &str) -> Self {
        let fits = |rule: &&Rule| rule.codes.contains(&code) || rule.words.iter().any(|words| text.contains(words));
        RULES.iter().find(fits).map_or(Self::Unknown, |rule| rule.class)
    }

    /// The class of several reasons of one refusal, each of its own instance for example: the most hopeful one. One instance that has no room now
    /// counts more than another one that can never take the task.
    #[must_use]
    pub fn of_reasons<'a>(reasons: impl IntoIterator<Item = &'a str>) -> Self {
        const BY_HOPE: [Class; 6] = [
            Class::Transient,
            Class::Throttled,
            Class::NoCapacity,
            Class::AccountLimit,
            Class::Unknown,
            Class::Permanent,
        ];
        let classes: Vec<Self> = reasons.into_iter().map(Self::of_reason).collect();
        BY_HOPE.into_iter().find(|class| classes.contains(class)).unwrap_or(Self::Unknown)
    }

    /// The class of a `reason` of RunTask's failures, such as `RESOURCE:MEMORY`, or of a task's `stoppedReason`.
    #[must_use]
    pub fn of_reason(reason: &str) -> Self {
        // A task that failed to start may name its stop code first.
        let reason = reason.strip_prefix("TaskFailedToStart: ").unwrap_or(reason);
        let code = reason.split([':', ' ']).next().unwrap_or_default();
        Self::of_error(code, reason)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// The table as it stands in docs/reference/refusals.md.
    fn page() -> String {
        let mut page = "| class | codes | words | source |\n|---|---|---|---|\n".to_owned();
        for rule in &RULES {
            let list = |all: &[&str]| all.iter().map(|one| format!("`{one}`")).collect::<Vec<_>>().join(", ");
            let (codes, words) = (list(rule.codes), list(rule.words));
            writeln!(page, "| {:?} | {codes} | {words} | [AWS]({}) |", rule.class, rule.source).unwrap_or_default();
        }
        page
    }

    #[test]
    fn the_document_has_the_table() {
        let document = include_str!("../../../docs/reference/refusals.md");
        let page = page();
        assert!(
            document.contains(&page),
            "docs/reference/refusals.md should have this table:\n{page}"
        );
    }

    #[test]
    fn words_count_before_codes() {
        for (code, text, class) in [
            ("ClientException", "Rate exceeded", Class::Throttled),
            ("InvalidParameterException", "Request limit exceeded.", Class::Throttled),
            ("ThrottlingException", "", Class::Throttled),
            (
                "ClientException",
                "You've reached the limit on the number of vCPUs",
                Class::AccountLimit,
            ),
            (
                "ClientException",
                "The requested CPU configuration is above your limit",
                Class::AccountLimit,
            ),
            (
                "LimitExceededException",
                "Tasks provisioning capacity limit exceeded.",
                Class::AccountLimit,
            ),
            (
                "InvalidParameterException",
                "No Container Instances were found in your cluster.",
                Class::NoCapacity,
            ),
            (
                "InvalidParameterException",
                "Unable to assume the service linked role.",
                Class::Transient,
            ),
            (
                "InvalidParameterException",
                "Error retrieving subnet information for [subnet-0a]: An internal error has occurred (ErrorCode: InternalError)",
                Class::Transient,
            ),
            ("TransactionConflictException", "", Class::Transient),
            ("InvalidParameterException", "Subnet is invalid", Class::Permanent),
            ("ClusterNotFoundException", "Cluster not found.", Class::Permanent),
            ("AccessDeniedException", "not authorized to perform: ecs:RunTask", Class::Unknown),
            (
                "ClientException",
                "ECS was unable to assume the role 'arn:aws:iam::123456789012:role/x' that was provided for this task.",
                Class::Unknown,
            ),
            (
                "InvalidInputException",
                "CodeBuild is not authorized to perform: sts:AssumeRole on arn:aws:iam::123456789012:role/x",
                Class::Unknown,
            ),
            ("Throttled", "", Class::Throttled),
            ("KMSThrottling", "", Class::Throttled),
            ("RequestTimeout", "", Class::Transient),
            ("", "", Class::Unknown),
        ] {
            assert_eq!(Class::of_error(code, text), class, "{code}: {text}");
        }
    }

    #[test]
    fn reasons_of_failures_begin_with_their_code() {
        for (reason, class) in [
            ("RESOURCE:MEMORY", Class::NoCapacity),
            ("AGENT", Class::NoCapacity),
            ("EMPTY CAPACITY PROVIDER", Class::NoCapacity),
            ("Capacity is unavailable at this time. Please try again later", Class::NoCapacity),
            (
                "You've reached the limit on the number of tasks you can run concurrently",
                Class::AccountLimit,
            ),
            ("Rate exceeded", Class::Throttled),
            ("ATTRIBUTE", Class::Permanent),
            ("MISSING", Class::Permanent),
            ("AGENTS ARE FEW", Class::Unknown),
            ("TaskFailedToStart: RESOURCE:GPU", Class::NoCapacity),
            ("TaskFailedToStart: MISSING", Class::Permanent),
            ("MemberOf placement constraint unsatisfied.", Class::NoCapacity),
            ("DistinctInstance placement constraint unsatisfied.", Class::NoCapacity),
            ("Timeout waiting for network interface provisioning to complete.", Class::Transient),
            (
                "Unexpected EC2 error while attempting to Create Network Interface with public IP assignment enabled in subnet 'subnet-0a': AuthFailure",
                Class::Unknown,
            ),
            (
                "Unexpected EC2 error while attempting to Create Network Interface in subnet 'subnet-0a': NetworkInterfaceLimitExceeded",
                Class::AccountLimit,
            ),
            (
                "Unexpected EC2 error while attempting to Create Network Interface in subnet 'subnet-0a': UnauthorizedOperation",
                Class::Unknown,
            ),
            (
                "CannotPullContainerError: toomanyrequests: You have reached your pull rate limit.",
                Class::Throttled,
            ),
            ("CannotPullContainerError: dial tcp 10.0.0.7:443: i/o timeout", Class::Unknown),
        ] {
            assert_eq!(Class::of_reason(reason), class, "{reason}");
        }
    }

    #[test]
    fn of_several_reasons_the_most_hopeful_counts() {
        for (reasons, class) in [
            (&["ATTRIBUTE", "RESOURCE:MEMORY"][..], Class::NoCapacity),
            (&["MISSING", "Rate exceeded", "AGENT"], Class::Throttled),
            (&["ATTRIBUTE", "something new"], Class::Unknown),
            (&["ATTRIBUTE", "MISSING"], Class::Permanent),
            (&[], Class::Unknown),
        ] {
            assert_eq!(Class::of_reasons(reasons.iter().copied()), class, "{reasons:?}");
        }
    }
}
