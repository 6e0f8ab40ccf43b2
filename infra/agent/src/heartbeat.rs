//! A sign of life in the log of a script that prints nothing: decisions, without clocks.

use std::time::Duration;

/// Watches how much a script has printed.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    every: Duration,
    printed: u64,
    /// Since when it has printed nothing.
    quiet: Duration,
    /// When the next line is due.
    due: Duration,
}

impl Heartbeat {
    /// Of a script that begins now, with a line each time that it has printed nothing for so long.
    #[must_use]
    pub fn new(every: Duration) -> Self {
        Self {
            every,
            printed: 0,
            quiet: Duration::ZERO,
            due: every,
        }
    }

    /// What to say at this time after the beginning, if the script has printed so many bytes in all.
    pub fn at(&mut self, time: Duration, printed: u64) -> Option<String> {
        if printed != self.printed {
            (self.printed, self.quiet, self.due) = (printed, time, time + self.every);
        }
        if time < self.due {
            return None;
        }
        self.due = time + self.every;
        let quiet = time.saturating_sub(self.quiet).as_secs();
        Some(format!("still running after {} s, {quiet} s without output", time.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_script_is_alive() {
        let mut heartbeat = Heartbeat::new(Duration::from_secs(300));
        let mut at = |seconds, printed| heartbeat.at(Duration::from_secs(seconds), printed);
        assert_eq!(at(299, 0), None);
        assert_eq!(at(300, 0).as_deref(), Some("still running after 300 s, 300 s without output"));
        assert_eq!(at(301, 0), None);
        assert_eq!(at(400, 7), None);
        assert_eq!(at(699, 7), None);
        assert_eq!(at(700, 7).as_deref(), Some("still running after 700 s, 300 s without output"));
        assert_eq!(at(1000, 7).as_deref(), Some("still running after 1000 s, 600 s without output"));
        assert_eq!(at(1100, 8), None);
    }
}
