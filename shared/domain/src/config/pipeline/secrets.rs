//! The secrets of a job: references to what its agent fetches.

use std::collections::BTreeMap;

use super::raw::{EnvName, RawSecret};
use crate::secret::Secrets;
use crate::yaml::{Entries, FieldPath, FileError, Source};

/// The most secrets of a job. Parameter Store gives ten in one call.
const MOST_SECRETS: usize = 20;

/// The secrets of a job. None has the variable of its `environment`.
pub(in crate::config) fn secrets(
    source: &Source,
    at: &FieldPath,
    raw: Entries<EnvName, RawSecret>,
    environment: &BTreeMap<String, String>,
) -> Result<Secrets, FileError> {
    let count = raw.0.len();
    if count > MOST_SECRETS {
        return Err(source.error(at, format!("{count} secrets: at most {MOST_SECRETS} are possible")));
    }
    let mut secrets = Secrets::new();
    for (EnvName(variable), RawSecret(secret)) in raw.0 {
        if environment.contains_key(&variable) {
            let message = format!("`{variable}` is also in `environment`: expected it in one of them");
            return Err(source.error(&at.clone().key(&variable), message));
        }
        secrets.insert(variable, secret);
    }
    Ok(secrets)
}
