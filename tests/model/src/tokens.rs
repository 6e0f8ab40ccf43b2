//! What a client token means: the same token for the same request gives the same answer.
//!
//! A request that was answered with something new keeps its token for that, for ever or until a moment. Another request under that token conflicts. A request
//! that was answered with a refusal and no error spends its token on this refusal, which is the answer from then on. An error leaves the token as it was, so
//! nothing of an error is kept here (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html>).

use std::collections::BTreeMap;

/// The tokens of a service: of requests, with what each made or was refused with.
#[derive(Debug, Clone)]
pub struct Tokens<Request, Made, Refusal, Time> {
    used: BTreeMap<String, Use<Request, Made, Refusal, Time>>,
}

#[derive(Debug, Clone)]
enum Use<Request, Made, Refusal, Time> {
    Made { request: Request, made: Made, until: Option<Time> },
    Refused(Refusal),
}

/// What a token that was used before means for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known<'a, Made, Refusal> {
    /// This very request made it.
    Made(&'a Made),
    /// Another request made it: a conflict.
    OfAnother(&'a Made),
    /// The token is spent on a refusal.
    Refused(&'a Refusal),
}

impl<Request, Made, Refusal, Time> Default for Tokens<Request, Made, Refusal, Time> {
    fn default() -> Self {
        Self { used: BTreeMap::new() }
    }
}

impl<Request: PartialEq, Made, Refusal, Time: PartialOrd> Tokens<Request, Made, Refusal, Time> {
    /// What a token means for a request at a moment; none for one that is not in use.
    pub fn look(&self, token: &str, request: &Request, now: &Time) -> Option<Known<'_, Made, Refusal>> {
        match self.used.get(token)? {
            Use::Made { until: Some(until), .. } if now >= until => None,
            Use::Made { request: of, made, .. } if of == request => Some(Known::Made(made)),
            Use::Made { made, .. } => Some(Known::OfAnother(made)),
            Use::Refused(refusal) => Some(Known::Refused(refusal)),
        }
    }

    /// A request was answered with something new, which keeps its token until a moment or for ever.
    pub fn made(&mut self, token: &str, request: Request, made: Made, until: Option<Time>) {
        self.used.insert(token.to_owned(), Use::Made { request, made, until });
    }

    /// A request was answered without an error and without anything new. What the token made before stays.
    pub fn refused(&mut self, token: &str, refusal: Refusal) {
        self.used.entry(token.to_owned()).or_insert(Use::Refused(refusal));
    }

    /// Forgets all of them.
    pub fn forget(&mut self) {
        self.used.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Numbered = Tokens<&'static str, u32, &'static str, u32>;

    #[test]
    fn the_same_request_gets_the_same_and_another_one_conflicts() {
        let mut tokens = Numbered::default();
        assert_eq!(tokens.look("a", &"one", &0), None);
        tokens.made("a", "one", 1, None);
        assert_eq!(tokens.look("a", &"one", &9), Some(Known::Made(&1)));
        assert_eq!(tokens.look("a", &"two", &9), Some(Known::OfAnother(&1)));
        assert_eq!(tokens.look("b", &"one", &9), None);
    }

    #[test]
    fn a_refusal_spends_the_token_for_any_request_and_takes_nothing_back() {
        let mut tokens = Numbered::default();
        tokens.refused("a", "no capacity");
        assert_eq!(tokens.look("a", &"two", &0), Some(Known::Refused(&"no capacity")));
        tokens.made("b", "one", 1, None);
        tokens.refused("b", "no capacity");
        assert_eq!(tokens.look("b", &"one", &0), Some(Known::Made(&1)));
    }

    #[test]
    fn a_token_is_free_again_once_its_time_is_over() {
        let mut tokens = Numbered::default();
        tokens.made("a", "one", 1, Some(5));
        assert_eq!(tokens.look("a", &"one", &4), Some(Known::Made(&1)));
        assert_eq!(tokens.look("a", &"one", &5), None);
        tokens.forget();
        assert_eq!(tokens.look("a", &"one", &4), None);
    }
}
