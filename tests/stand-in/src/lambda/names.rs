//! Which function a request names, and which operation it is.

use axum::http::Method;

use crate::support::decoded;

/// What every path begins with.
const FUNCTIONS: &str = "/2015-03-31/functions/";

/// The name of an operation, by method and path.
pub(crate) fn operation(method: &Method, path: &str) -> Option<&'static str> {
    let parts: Vec<&str> = path.strip_prefix(FUNCTIONS)?.split('/').collect();
    Some(match (method.as_str(), parts.as_slice()) {
        ("PUT", [_, "code"]) => "UpdateFunctionCode",
        ("GET", [_, "configuration"]) => "GetFunctionConfiguration",
        ("POST", [_, "versions"]) => "PublishVersion",
        ("GET", [_, "versions"]) => "ListVersionsByFunction",
        ("GET", [_, "aliases", _]) => "GetAlias",
        ("PUT", [_, "aliases", _]) => "UpdateAlias",
        ("POST", [_, "invocations"]) => "Invoke",
        _ => return None,
    })
}

/// Whether a request's body is the operation's own parameters, and not what a function gets or what a function is made of.
pub(crate) fn has_parameters(operation: &str) -> bool {
    ["UpdateFunctionCode", "PublishVersion", "UpdateAlias"].contains(&operation)
}

/// A function as a request names it: by its name, an ARN or a part of one, with a version or an alias or without
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConfiguration.html>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) qualifier: Option<String>,
    /// The region and the account of an ARN.
    pub(super) region: Option<String>,
    pub(super) account: Option<String>,
}

impl Named {
    /// The function in a path, if it has one.
    pub(super) fn in_path(path: &str) -> Option<Self> {
        let first = path.strip_prefix(FUNCTIONS)?.split('/').next()?;
        Self::read(&decoded(first))
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(':').peekable();
        let (mut region, mut account) = (None, None);
        if parts.next_if_eq(&"arn").is_some() {
            let _partition = parts.next()?;
            parts.next_if_eq(&"lambda")?;
            region = Some(parts.next()?.to_owned());
        }
        if let Some(id) = parts.next_if(|part| part.len() == 12 && part.bytes().all(|byte| byte.is_ascii_digit())) {
            account = Some(id.to_owned());
        }
        parts.next_if_eq(&"function");
        let name = parts.next().filter(|name| !name.is_empty())?.to_owned();
        let qualifier = parts.next().map(str::to_owned);
        parts.next().is_none().then_some(Self {
            name,
            qualifier,
            region,
            account,
        })
    }
}

/// The alias at the end of a path.
pub(super) fn alias(path: &str) -> String {
    decoded(path.rsplit('/').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_has_many_names() {
        let named = |qualifier: Option<&str>, region: Option<&str>, account: Option<&str>| {
            Some(Named {
                name: "shop".to_owned(),
                qualifier: qualifier.map(str::to_owned),
                region: region.map(str::to_owned),
                account: account.map(str::to_owned),
            })
        };
        let account = "123456789012";
        for (text, expected) in [
            ("shop", named(None, None, None)),
            ("shop:live", named(Some("live"), None, None)),
            ("function:shop", named(None, None, None)),
            ("123456789012:function:shop", named(None, None, Some(account))),
            ("123456789012:shop:$LATEST", named(Some("$LATEST"), None, Some(account))),
            (
                "arn:aws:lambda:eu-west-1:123456789012:function:shop:7",
                named(Some("7"), Some("eu-west-1"), Some(account)),
            ),
            ("", None),
            ("arn:aws:s3:::shop", None),
            ("shop:live:7", None),
        ] {
            assert_eq!(Named::read(text), expected, "{text}");
        }
        let path = "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Ashop/aliases/live";
        assert_eq!(Named::in_path(path), named(None, Some("eu-west-1"), Some(account)));
        assert_eq!(alias(path), "live");
        assert_eq!(Named::in_path("/2015-03-31/event-source-mappings/"), None);
    }

    #[test]
    fn operations_are_told_by_method_and_path() {
        let of = |method: Method, rest: &str| operation(&method, &format!("{FUNCTIONS}{rest}"));
        assert_eq!(of(Method::PUT, "shop/code"), Some("UpdateFunctionCode"));
        assert_eq!(of(Method::GET, "shop/versions"), Some("ListVersionsByFunction"));
        assert_eq!(of(Method::POST, "shop/versions"), Some("PublishVersion"));
        assert_eq!(of(Method::PUT, "shop/configuration"), None);
        assert_eq!(of(Method::POST, ""), None);
    }
}
