//! Small helpers of several modules.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

/// Locks, also after another thread panicked while it held the lock: a failed test must not hide behind the next
/// one's poison error.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks for something now and after each change, until it is found. `None` if it was not found in time.
pub(crate) async fn wait_for<T>(changes: &watch::Sender<u64>, within: Duration, mut find: impl FnMut() -> Option<T>) -> Option<T> {
    let mut changes = changes.subscribe();
    let search = async {
        loop {
            if let Some(found) = find() {
                return Some(found);
            }
            changes.changed().await.ok()?;
        }
    };
    tokio::time::timeout(within, search).await.ok().flatten()
}

/// A page of a list, which begins where its token says, and the next page's token. `None` for a token that is none.
pub(crate) fn page<'a, T>(items: &'a [T], token: Option<&str>, limit: usize) -> Option<(&'a [T], Option<String>)> {
    let start = token.map_or(Ok(0), str::parse::<usize>).ok()?.min(items.len());
    let end = start.saturating_add(limit).min(items.len());
    let next = (end < items.len()).then(|| end.to_string());
    Some((items.get(start..end)?, next))
}

/// A part of a path as it was before it was escaped. A plus is a plus there; only percent signs mean something.
pub(crate) fn decoded(part: &str) -> String {
    let escaped = part.replace('+', "%2B");
    form_urlencoded::parse(escaped.as_bytes())
        .next()
        .map_or(String::new(), |(name, _)| name.into_owned())
}

/// So many random lower-case hexadecimal digits.
pub(crate) fn hex(digits: usize) -> String {
    std::iter::repeat_with(|| fastrand::digit(16))
        .take(digits)
        .map(|digit| digit.to_ascii_lowercase())
        .collect()
}

/// A random id in the form of a UUID.
pub(crate) fn uuid() -> String {
    grouped(&hex(32))
}

/// 32 hexadecimal digits in the form of a UUID.
pub(crate) fn grouped(digits: &str) -> String {
    let mut text = String::with_capacity(36);
    for (position, digit) in digits.chars().enumerate() {
        if matches!(position, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

/// An EventBridge detail's time: ISO 8601 with milliseconds.
pub(crate) fn iso(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// A JSON protocol's time: seconds since 1970, with milliseconds.
pub(crate) fn epoch(time: Timestamp) -> f64 {
    // Milliseconds since 1970 stay far below 2^53, so the conversion is exact.
    time.as_millisecond() as f64 / 1000.0
}
