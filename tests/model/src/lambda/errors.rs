//! Lambda's refusals.

/// Why Lambda refuses a request. The text is Lambda's own where a source is named at the variant.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LambdaError {
    /// There is no such version.
    #[error("Function not found: {0}")]
    NoVersion(String),
    /// There is no such alias (<https://docs.aws.amazon.com/lambda/latest/api/API_GetAlias.html>).
    #[error("Cannot find alias arn: {0}")]
    NoAlias(String),
    /// An alias of this name is there already.
    #[error("Alias already exists: {0}")]
    AliasExists(String),
    /// "The following operations fail while an asynchronous update is in progress" (<https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html>).
    /// The text is from <https://github.com/aws/aws-cli/issues/6718>.
    #[error("The operation cannot be performed at this time. An update is in progress for resource: {0}")]
    InProgress(String),
    /// A version that is not active yet is invoked (<https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html>).
    #[error("The operation cannot be performed at this time. The function is currently in the following state: Pending")]
    Pending,
    /// `RevisionId` is another one (<https://docs.aws.amazon.com/lambda/latest/api/API_UpdateAlias.html>). The text is from
    /// <https://github.com/aws/aws-sdk/issues/377>.
    #[error(
        "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
    )]
    OtherRevision,
    /// `CodeSha256` is another one (<https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html>). The text is from
    /// <https://github.com/justinram11/serverless-aws-batch/issues/22>.
    #[error(
        "CodeSHA256 ({asked}) is different from current CodeSHA256 in $LATEST ({current}). Please try again with the CodeSHA256 in $LATEST."
    )]
    OtherCode {
        /// What the request says.
        asked: String,
        /// What is there.
        current: String,
    },
    /// "You can point an alias to a maximum of two Lambda function versions" (<https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html>).
    #[error("Number of items in AdditionalVersionWeights cannot be greater than 1")]
    TooManyVersions,
    /// A weight is not from 0.0 to 1.0 (<https://docs.aws.amazon.com/lambda/latest/api/API_AliasRoutingConfiguration.html>).
    #[error(
        "Value '{{{version}={weight}}}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map value must satisfy constraint: \
         [Member must have value less than or equal to 1.0, Member must have value greater than or equal to 0.0]"
    )]
    WeightOutOfRange {
        /// The version.
        version: String,
        /// Its weight.
        weight: f64,
    },
    /// The second version is not a number (<https://docs.aws.amazon.com/lambda/latest/api/API_AliasRoutingConfiguration.html>).
    #[error(
        "Value '{0}' at 'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map keys must satisfy constraint: \
         [Member must satisfy regular expression pattern: [0-9]+]"
    )]
    NotANumber(String),
    /// "Both versions must be published. The alias cannot point to $LATEST" (<https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html>).
    #[error("$LATEST is not supported for an alias pointing to more than 1 version")]
    LatestWithWeights,
    /// The second version is the first one. The text is from <https://github.com/serverless/serverless/issues/7250>.
    #[error("Invalid function version {0}. Function version {0} is already included in routing configuration.")]
    SameVersion(String),
    /// "Both versions must have the same execution role" (<https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html>). The text is from
    /// <https://github.com/serverless-heaven/serverless-aws-alias/issues/64>.
    #[error("Specified versions must be associated with the same execution role")]
    OtherRole,
    /// "Both versions must have the same dead-letter queue configuration, or no dead-letter queue configuration"
    /// (<https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html>).
    #[error("Specified versions must be associated with the same dead letter queue configuration")]
    OtherDeadLetterTarget,
}

impl LambdaError {
    /// The error's name and its HTTP status (<https://docs.aws.amazon.com/lambda/latest/api/API_UpdateAlias.html>).
    #[must_use]
    pub const fn code(&self) -> (&'static str, u16) {
        match self {
            Self::NoVersion(_) | Self::NoAlias(_) => ("ResourceNotFoundException", 404),
            Self::InProgress(_) | Self::Pending | Self::AliasExists(_) => ("ResourceConflictException", 409),
            Self::OtherRevision => ("PreconditionFailedException", 412),
            Self::OtherCode { .. }
            | Self::TooManyVersions
            | Self::WeightOutOfRange { .. }
            | Self::NotANumber(_)
            | Self::LatestWithWeights
            | Self::SameVersion(_)
            | Self::OtherRole
            | Self::OtherDeadLetterTarget => ("InvalidParameterValueException", 400),
        }
    }
}
