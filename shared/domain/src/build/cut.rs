//! What a record leaves out when it has become too large: texts and names for people, which decide nothing.

use super::record::Build;

impl Build {
    /// A smaller record: without the texts of its earlier attempts, or, if it has none, without the names of its artifacts, or of its tests. Their
    /// numbers stay. `None` if it has nothing of that.
    #[must_use]
    pub fn cut(&self) -> Option<Self> {
        let mut smaller = self.clone();
        let cuts = [Self::cut_attempts, Self::cut_artifacts, Self::cut_tests];
        cuts.into_iter().any(|cut| cut(&mut smaller)).then_some(smaller)
    }

    fn cut_attempts(&mut self) -> bool {
        let Some((_, earlier)) = self.attempts.split_last_mut() else {
            return false;
        };
        let mut has_cut = false;
        for attempt in earlier {
            for text in [&mut attempt.last_refusal, &mut attempt.advice, &mut attempt.remark] {
                has_cut |= text.take().is_some();
            }
        }
        has_cut
    }

    fn cut_artifacts(&mut self) -> bool {
        let artifacts = self.results.as_mut().map(|results| std::mem::take(&mut results.artifacts));
        artifacts.is_some_and(|artifacts| !artifacts.is_empty())
    }

    fn cut_tests(&mut self) -> bool {
        let Some(tests) = self.results.as_mut().and_then(|results| results.tests.as_mut()) else {
            return false;
        };
        let names = [std::mem::take(&mut tests.failures), std::mem::take(&mut tests.unread_because)];
        names.iter().any(|names| !names.is_empty())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use crate::build::Build;
    use crate::results::found::{Artifact, Results, Seal, Tests};
    use crate::testing::{spec, t};

    #[test]
    fn texts_and_names_are_cut_and_numbers_stay() {
        let mut build = Build::ready(spec(), t(0));
        assert_eq!(build.cut(), None);
        build.attempts[0].last_refusal = Some("no capacity".to_owned());
        assert_eq!(build.cut(), None, "the current attempt's texts stay");
        build.attempts.push(build.attempts[0].clone());
        let path = "dist/shop.zip".to_owned();
        build.results = Some(Results {
            artifacts: vec![Artifact {
                path,
                size: 1,
                seal: Seal::default(),
            }],
            count: 1,
            folder: None,
            images: Vec::new(),
            tests: Some(Tests {
                run: 2,
                failed: 1,
                failures: vec!["t".to_owned()],
                ..Tests::default()
            }),
        });
        let first = build.cut().unwrap();
        assert_eq!((&first.attempts[0].last_refusal, &first.results), (&None, &build.results));
        assert!(first.attempts[1].last_refusal.is_some());
        let second = first.cut().unwrap();
        let results = second.results.as_ref().unwrap();
        assert_eq!((results.artifacts.len(), results.count), (0, 1));
        let third = second.cut().unwrap();
        let tests = third.results.as_ref().unwrap().tests.as_ref().unwrap();
        assert_eq!((tests.run, tests.failed, tests.failures.len()), (2, 1, 0));
        assert_eq!(third.cut(), None);
    }
}
