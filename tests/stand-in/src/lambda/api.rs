//! The operations.

use std::collections::BTreeMap;

use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use bellhop_model::lambda::{AliasUpdate, LATEST, LambdaError, Latest, Snapshot, UpdateStatus, Version, draw};
use data_encoding::BASE64;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::names::{Named, alias};
use super::{Effect, EffectKind, Held, InvocationView, Lambda, State, code_of};
use crate::calls::Call;
use crate::replies::{AwsError, Reply};
use crate::support::{lock, page};

/// Most versions on a page: "Lambda returns up to 50 versions per call" (<https://docs.aws.amazon.com/lambda/latest/api/API_ListVersionsByFunction.html>).
const PAGE: usize = 50;
/// How a zip file begins: with an entry, or with its end where it has none (<https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>).
const ZIP: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];

impl Lambda {
    /// Whether a request is answered here: about a function that was created here, or without an upstream that could have it.
    pub(crate) fn answers(&self, method: &Method, path: &str) -> bool {
        let Some(named) = Named::in_path(path) else {
            return false;
        };
        let is_here = lock(&self.inner.state).functions.contains_key(&named.name);
        is_here || (super::operation(method, path).is_some() && !self.inner.upstream.is_there())
    }

    pub(crate) async fn answer(&self, call: &Call, parts: &Parts) -> Result<Reply, AwsError> {
        let path = parts.uri.path();
        let named = Named::in_path(path).ok_or_else(|| AwsError::unknown_operation(call))?;
        let query: BTreeMap<_, _> = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
        lock(&self.inner.state).interfere(&call.operation, &named.name);
        let none = Value::Null;
        let request = call.body.as_ref().unwrap_or(&none);
        let reply = match call.operation.as_str() {
            "UpdateFunctionCode" => self.update_function_code(&named, request).await,
            "GetFunctionConfiguration" => self.get_function_configuration(&named, &query),
            "PublishVersion" => self.publish_version(&named, request),
            "ListVersionsByFunction" => self.list_versions(&named, &query),
            "GetAlias" => self.get_alias(&named, &alias(path)),
            "UpdateAlias" => self.update_alias(&named, &alias(path), request),
            "Invoke" => self.invoke(&named, &query, parts),
            _ => Err(AwsError::unknown_operation(call)),
        };
        self.changed();
        reply
    }

    /// <https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionCode.html>
    async fn update_function_code(&self, named: &Named, request: &Value) -> Result<Reply, AwsError> {
        let revision = request["RevisionId"].as_str();
        {
            let mut state = lock(&self.inner.state);
            let held = self.find(&mut state, named)?;
            only_latest(named.qualifier.as_deref())?;
            held.function.check_update(&Timestamp::now(), revision)?;
        }
        let package = self.package(request).await?;
        if !ZIP.iter().any(|begin| package.starts_with(begin)) {
            return Err(invalid(
                "Could not unzip uploaded file. Please check your file, then try to upload again.",
            ));
        }
        let mut state = lock(&self.inner.state);
        if state.is_full {
            return Err(is_full());
        }
        let now = Timestamp::now();
        let (until, failure) = (now + state.update, state.failures.first().cloned());
        let held = self.find(&mut state, named)?;
        let mut has = held.function.latest(&now).has.clone();
        has.code = code_of(&package);
        if let [architecture] = texts(&request["Architectures"]).as_slice() {
            has.settings.architecture.clone_from(architecture);
        }
        let flag = |name: &str| request[name].as_bool().unwrap_or_default();
        if flag("DryRun") {
            // AWS documents no more than that nothing changes. The answer has the hash that the code would have.
            held.function.check_update(&now, revision)?;
            let mut latest = held.function.latest(&now).clone();
            latest.has = has;
            return Ok(held.describe_latest(&named.name, &latest, None).into());
        }
        let code_sha256 = has.code.sha256.clone();
        let mut published = None;
        let body = if flag("Publish") {
            let all = held.function.update_and_publish(&now, has, revision, until)?;
            published = all.is_new.then(|| EffectKind::of_version(&all.version));
            held.describe_version(&named.name, &all.version, Some(&all.version.number))
        } else {
            let latest = held.function.update(&now, has, revision, until, failure)?.clone();
            held.describe_latest(&named.name, &latest, None)
        };
        held.done(EffectKind::Code {
            code_sha256: code_sha256.clone(),
        });
        held.history.extend(published.map(by_request));
        if !flag("Publish") && !state.failures.is_empty() {
            state.failures.remove(0);
        }
        Ok(Reply::from(body).with_note(format!("-> {code_sha256}")))
    }

    /// <https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConfiguration.html>
    fn get_function_configuration(&self, named: &Named, query: &BTreeMap<String, String>) -> Result<Reply, AwsError> {
        let mut state = lock(&self.inner.state);
        let held = self.find(&mut state, named)?;
        let qualifier = qualifier(named, query)?;
        let target = match qualifier {
            Some(name) => held.function.aliases().get(name).map_or(name, |alias| &alias.version),
            None => LATEST,
        };
        if target == LATEST {
            let latest = held.function.latest(&Timestamp::now()).clone();
            return Ok(held.describe_latest(&named.name, &latest, qualifier).into());
        }
        let version = held.function.version(target)?;
        Ok(held.describe_version(&named.name, version, qualifier).into())
    }

    /// <https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html>
    fn publish_version(&self, named: &Named, request: &Value) -> Result<Reply, AwsError> {
        let text = |name: &str| request[name].as_str();
        let mut state = lock(&self.inner.state);
        let (is_full_here, publishing) = (state.is_full, state.publishing);
        let held = self.find(&mut state, named)?;
        only_latest(named.qualifier.as_deref())?;
        let now = Timestamp::now();
        // On a copy first: a version needs room for its code, and the same version again needs none.
        let (hash, description, revision) = (text("CodeSha256"), text("Description"), text("RevisionId"));
        let mut function = held.function.clone();
        let published = function.publish(&now, hash, description, revision, now + publishing)?;
        if published.is_new && is_full_here {
            return Err(is_full());
        }
        held.function = function;
        let version = &published.version;
        let body = held.describe_version(&named.name, version, Some(&version.number));
        let note = if published.is_new { "->" } else { "is still" };
        let note = format!("{note} {}", version.number);
        if published.is_new {
            held.done(EffectKind::of_version(version));
        }
        Ok(Reply::from(body).with_status(StatusCode::CREATED).with_note(note))
    }

    /// <https://docs.aws.amazon.com/lambda/latest/api/API_ListVersionsByFunction.html>
    fn list_versions(&self, named: &Named, query: &BTreeMap<String, String>) -> Result<Reply, AwsError> {
        let limit = match query.get("MaxItems") {
            None => PAGE,
            Some(limit) => match limit.parse() {
                Ok(limit @ 1..=10_000) => PAGE.min(limit),
                _ => return Err(invalid("MaxItems must be from 1 to 10000")),
            },
        };
        let mut state = lock(&self.inner.state);
        let held = self.find(&mut state, named)?;
        let latest = held.function.latest(&Timestamp::now()).clone();
        let latest = held.describe_latest(&named.name, &latest, Some(LATEST));
        let versions = held.function.versions().iter();
        let versions = versions.map(|version| held.describe_version(&named.name, version, Some(&version.number)));
        let all: Vec<Value> = std::iter::once(latest).chain(versions).map(in_list).collect();
        let marker = query.get("Marker").map(String::as_str);
        let (page, next) = page(&all, marker, limit).ok_or_else(|| invalid("Invalid pagination token"))?;
        let mut body = json!({ "Versions": page });
        if let Some(next) = next {
            body["NextMarker"] = next.into();
        }
        Ok(body.into())
    }

    /// <https://docs.aws.amazon.com/lambda/latest/api/API_GetAlias.html>
    fn get_alias(&self, named: &Named, name: &str) -> Result<Reply, AwsError> {
        let mut state = lock(&self.inner.state);
        let held = self.find(&mut state, named)?;
        Ok(held.describe_alias(name)?.into())
    }

    /// <https://docs.aws.amazon.com/lambda/latest/api/API_UpdateAlias.html>
    fn update_alias(&self, named: &Named, name: &str, request: &Value) -> Result<Reply, AwsError> {
        let text = |name: &str| request[name].as_str().map(str::to_owned);
        let routing = &request["RoutingConfig"];
        let weights = match routing.as_object() {
            None => None,
            Some(_) => Some(weights(&routing["AdditionalVersionWeights"])?),
        };
        let update = AliasUpdate {
            version: text("FunctionVersion"),
            weights,
            description: text("Description"),
            revision: text("RevisionId"),
        };
        let mut state = lock(&self.inner.state);
        let held = self.find(&mut state, named)?;
        let kind = EffectKind::of_alias(name, held.function.update_alias(name, update)?);
        let note = match &kind {
            EffectKind::Alias { version, weights, .. } => {
                let second = weights.iter().map(|(version, weight)| format!(", {version} with {weight}"));
                format!("-> {version}{}", second.collect::<String>())
            }
            _ => String::new(),
        };
        held.done(kind);
        Ok(Reply::from(held.describe_alias(name)?).with_note(note))
    }

    /// Invoke (<https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>), whose answer says which version ran.
    fn invoke(&self, named: &Named, query: &BTreeMap<String, String>, parts: &Parts) -> Result<Reply, AwsError> {
        let mut state = lock(&self.inner.state);
        let seed = state.seed;
        let held = self.find(&mut state, named)?;
        let qualifier = qualifier(named, query)?;
        let now = Timestamp::now();
        let place = held.invocations.len() as u64;
        let version = held.function.route(&now, qualifier, draw(seed, place))?.to_owned();
        let kind = parts.headers.get("x-amz-invocation-type").and_then(|kind| kind.to_str().ok());
        if kind == Some("DryRun") {
            return Ok(Reply::from(Value::Null).with_status(StatusCode::NO_CONTENT));
        }
        held.invocations.push(InvocationView {
            at: now,
            qualifier: qualifier.map(str::to_owned),
            version: version.clone(),
        });
        let note = format!("-> {version}");
        if kind == Some("Event") {
            return Ok(Reply::from(Value::Null).with_status(StatusCode::ACCEPTED).with_note(note));
        }
        let has = match version.as_str() {
            LATEST => held.function.running(&now).clone(),
            number => held.function.version(number)?.has.clone(),
        };
        let body = json!({ "function": named.name, "version": version, "codeSha256": has.code.sha256 });
        Ok(Reply::from(body).with_header("x-amz-executed-version", version).with_note(note))
    }

    /// The package that a request names: its bytes, or an object in S3.
    async fn package(&self, request: &Value) -> Result<Vec<u8>, AwsError> {
        let text = |name: &str| request[name].as_str();
        if text("ImageUri").is_some() {
            return Err(invalid(
                "Please don't provide ImageUri when updating a function with packageType Zip.",
            ));
        }
        match (text("ZipFile"), text("S3Bucket"), text("S3Key")) {
            (Some(content), None, None) => BASE64
                .decode(content.as_bytes())
                .map_err(|_| AwsError::client("SerializationException", "ZipFile is not Base64")),
            (None, Some(bucket), Some(key)) => self.object(bucket, key, text("S3ObjectVersion")).await,
            (None, None, None) => Err(invalid("Please provide a source for function code.")),
            _ => Err(invalid(
                "Please provide one source for function code: ZipFile, or S3Bucket and S3Key.",
            )),
        }
    }

    async fn object(&self, bucket: &str, key: &str, version: Option<&str>) -> Result<Vec<u8>, AwsError> {
        let here = {
            let state = lock(&self.inner.state);
            let is_it = |object: &&super::Object| {
                object.bucket == bucket && object.key == key && (version.is_none() || object.version.as_deref() == version)
            };
            state.objects.iter().rfind(is_it).map(|object| object.content.clone())
        };
        if let Some(content) = here {
            return Ok(content);
        }
        let refused = |code: &str, message: &str| {
            invalid(&format!(
                "Error occurred while GetObject. S3 Error Code: {code}. S3 Error Message: {message}"
            ))
        };
        let Some((status, body)) = self.inner.upstream.get_object(bucket, key, version).await? else {
            return Err(refused("NoSuchKey", "The specified key does not exist."));
        };
        if status.is_success() {
            return Ok(body);
        }
        let text = String::from_utf8_lossy(&body);
        let element = |name: &str| {
            let (_, rest) = text.split_once(&format!("<{name}>"))?;
            Some(rest.split_once("</")?.0)
        };
        let code = element("Code").unwrap_or(status.as_str());
        Err(refused(code, element("Message").unwrap_or("The object cannot be read.")))
    }

    /// The function that a request names; an ARN of another region or account names none.
    fn find<'a>(&self, state: &'a mut State, named: &Named) -> Result<&'a mut Held, AwsError> {
        let here = (self.inner.region.as_str(), self.inner.account.as_str());
        let region = named.region.as_deref().unwrap_or(here.0);
        let account = named.account.as_deref().unwrap_or(here.1);
        let held = state.functions.get_mut(&named.name).filter(|_| (region, account) == here);
        held.ok_or_else(|| {
            let message = format!("Function not found: arn:aws:lambda:{region}:{account}:function:{}", named.name);
            AwsError::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message).with("Type", "User".into())
        })
    }
}

impl Held {
    fn done(&mut self, kind: EffectKind) {
        self.history.push(by_request(kind));
    }

    fn describe_latest(&self, name: &str, latest: &Latest<Timestamp>, qualifier: Option<&str>) -> Value {
        let description = &latest.has.settings.description;
        let mut body = self.describe(name, &latest.has, description, qualifier, latest.modified);
        body["Version"] = LATEST.into();
        body["RevisionId"] = latest.revision.as_str().into();
        body["State"] = "Active".into();
        body["LastUpdateStatus"] = latest.status.name().into();
        match &latest.status {
            UpdateStatus::Successful => {}
            // AWS gives the code Creating as well, which its own model does not have.
            UpdateStatus::InProgress => body["LastUpdateStatusReason"] = "The function is being created.".into(),
            UpdateStatus::Failed(failure) => {
                body["LastUpdateStatusReason"] = failure.reason.as_str().into();
                body["LastUpdateStatusReasonCode"] = failure.code.as_str().into();
            }
        }
        body
    }

    fn describe_version(&self, name: &str, version: &Version<Timestamp>, qualifier: Option<&str>) -> Value {
        let mut body = self.describe(name, &version.has, &version.description, qualifier, version.published);
        body["Version"] = version.number.as_str().into();
        body["RevisionId"] = version.revision.as_str().into();
        if Timestamp::now() < version.active_from {
            body["State"] = "Pending".into();
            body["StateReason"] = "The function is being created.".into();
            body["StateReasonCode"] = "Creating".into();
        } else {
            body["State"] = "Active".into();
            body["LastUpdateStatus"] = "Successful".into();
        }
        body
    }

    fn describe(&self, name: &str, has: &Snapshot, description: &str, qualifier: Option<&str>, modified: Timestamp) -> Value {
        let settings = &has.settings;
        let arn = self.function.arn();
        let mut body = json!({
            "FunctionName": name,
            "FunctionArn": qualifier.map_or_else(|| arn.to_owned(), |qualifier| format!("{arn}:{qualifier}")),
            "Runtime": "provided.al2023", "Handler": "bootstrap", "Role": settings.role, "Timeout": 3, "MemorySize": settings.memory_size,
            "Description": description, "CodeSize": has.code.size, "CodeSha256": has.code.sha256,
            "LastModified": modified.strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string(),
            "PackageType": "Zip", "Architectures": [settings.architecture], "EphemeralStorage": { "Size": 512 },
            "TracingConfig": { "Mode": "PassThrough" }, "SnapStart": { "ApplyOn": "None", "OptimizationStatus": "Off" },
            "LoggingConfig": { "LogFormat": "Text", "LogGroup": format!("/aws/lambda/{name}") },
        });
        if let Some(target) = &settings.dead_letter_target {
            body["DeadLetterConfig"] = json!({ "TargetArn": target });
        }
        body
    }

    fn describe_alias(&self, name: &str) -> Result<Value, LambdaError> {
        let alias = self.function.alias(name)?;
        let mut body = json!({
            "AliasArn": format!("{}:{name}", self.function.arn()), "Name": name, "FunctionVersion": alias.version,
            "Description": alias.description, "RevisionId": alias.revision,
        });
        if !alias.weights.is_empty() {
            body["RoutingConfig"] = json!({ "AdditionalVersionWeights": alias.weights });
        }
        Ok(body)
    }
}

impl From<LambdaError> for AwsError {
    fn from(error: LambdaError) -> Self {
        let (code, status) = error.code();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        Self::new(status, code, error.to_string()).with("Type", "User".into())
    }
}

fn by_request(kind: EffectKind) -> Effect {
    Effect {
        at: Timestamp::now(),
        by_somebody_else: false,
        kind,
    }
}

/// A version as lists have it, without what stands at <https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html>: "The ListFunctions operation
/// returns a subset of the FunctionConfiguration fields".
fn in_list(mut version: Value) -> Value {
    if let Some(members) = version.as_object_mut() {
        members.retain(|name, _| !name.starts_with("State") && !name.starts_with("LastUpdate"));
    }
    version
}

/// The version or the alias that a request names, in its path or in its query.
fn qualifier<'a>(named: &'a Named, query: &'a BTreeMap<String, String>) -> Result<Option<&'a str>, AwsError> {
    match (named.qualifier.as_deref(), query.get("Qualifier").map(String::as_str)) {
        (Some(one), Some(other)) if one != other => Err(invalid(
            "The derived qualifier from the function name does not match the specified qualifier.",
        )),
        (one, other) => Ok(one.or(other)),
    }
}

/// The text is from <https://github.com/appleboy/lambda-action/issues/6>.
fn only_latest(qualifier: Option<&str>) -> Result<(), AwsError> {
    match qualifier {
        None | Some(LATEST) => Ok(()),
        Some(_) => Err(invalid("Current operation does not support versions other than $LATEST")),
    }
}

fn weights(given: &Value) -> Result<BTreeMap<String, f64>, AwsError> {
    let given = given.as_object().into_iter().flatten();
    let weights = given.map(|(version, weight)| Some((version.clone(), weight.as_f64()?)));
    let weights: Option<_> = weights.collect();
    weights.ok_or_else(|| AwsError::client("SerializationException", "A weight is not a number"))
}

fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(|item| Some(item.as_str()?.to_owned())).collect()
}

fn invalid(message: &str) -> AwsError {
    AwsError::client("InvalidParameterValueException", message).with("Type", "User".into())
}

/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
fn is_full() -> AwsError {
    AwsError::client("CodeStorageExceededException", "Code storage limit exceeded.").with("Type", "User".into())
}
