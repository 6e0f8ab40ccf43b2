//! `bellhop-agent git-credential`: a helper for Git's credentials.

use std::io::{Read as _, Write as _};
use std::time::SystemTime;

use crate::aws::codecommit::{self, Question};
use crate::aws::config;
use crate::log::{say, to_standard_error};
use crate::settings::{Variables, region};

/// The most that is read of a question.
const LONGEST: u64 = 64 * 1024;
/// Answers for every host, as `--ignore-host-check` of AWS's own helper.
const ANY_HOST: &str = "--ignore-host-check";

/// Answers `get`. Other requests, such as `store`, are none of its business. Returns the exit code.
pub async fn run(arguments: &[String], variables: &Variables) -> u8 {
    if arguments.last().map(String::as_str) != Some("get") {
        return 0;
    }
    to_standard_error();
    let any_host = arguments.iter().any(|argument| argument == ANY_HOST);
    match get(any_host, variables).await {
        Ok(answer) => u8::from(std::io::stdout().lock().write_all(answer.as_bytes()).is_err()),
        Err(error) => {
            say(&format!("git-credential: {error}"));
            1
        }
    }
}

async fn get(any_host: bool, variables: &Variables) -> Result<String, String> {
    let mut text = Vec::new();
    std::io::stdin()
        .lock()
        .take(LONGEST)
        .read_to_end(&mut text)
        .map_err(|error| error.to_string())?;
    let question = Question::parse(&String::from_utf8_lossy(&text));
    let Some(target) = codecommit::target(&question, region(variables), any_host)? else {
        return Ok(String::new());
    };
    let credentials = config::credentials(variables).await?;
    let password = codecommit::password(&credentials, &target, SystemTime::now()).map_err(|error| error.to_string())?;
    Ok(format!("username={}\npassword={password}\n", codecommit::user_name(&credentials)))
}
