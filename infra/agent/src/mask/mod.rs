//! Secrets in the log: [`MASK`] takes the place of what a program prints of them.
//!
//! [`forms`] says as what a secret is looked for. [`Needles`] holds the forms of all secrets, and [`Masking`] is a text that passes by in pieces of any
//! length. A byte is masked if it belongs to an occurrence of any form, so how a text is cut into pieces makes no difference. Line breaks are overlooked:
//! Base64 is wrapped, and the secret is in it nevertheless.
//!
//! The end of a piece that may be the beginning of a form is held back until more comes. The caller knows that by [`Masking::holds`], and decides for how long.

pub mod forms;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::automaton::{Automaton as _, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, BuildError, MatchError};

/// What stands for masked bytes on one line.
pub const MASK: &[u8] = b"***";

/// How many line breaks in a row may stand in a form: `\r\n` is two.
const BREAKS: usize = 2;
/// The longest window that is skipped at a time, in bytes, and the shortest: no form is shorter than the shortest secret.
const WINDOW: usize = 16;
const SHORTEST_WINDOW: usize = 4;
const _: () = assert!(SHORTEST_WINDOW <= forms::SHORTEST);

/// Why there is nothing to search with.
#[derive(Debug, thiserror::Error)]
pub enum NoNeedles {
    /// The forms are too many or too long.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The automaton cannot search anywhere in a text.
    #[error(transparent)]
    Start(#[from] MatchError),
}

/// What is to be masked: an automaton of all forms (<https://docs.rs/aho-corasick>).
#[derive(Debug)]
pub struct Needles {
    automaton: NFA,
    start: StateID,
    /// How long the beginning of a form is that led to a state.
    depths: HashMap<StateID, usize>,
    skip: Skip,
}

impl Needles {
    /// The forms of these values. None if there is nothing to look for.
    ///
    /// # Errors
    /// The library cannot hold them: they are far larger than what an environment can.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Option<Self>, NoNeedles> {
        let all: Vec<Vec<u8>> = values.into_iter().flat_map(forms::of).collect();
        if all.is_empty() {
            return Ok(None);
        }
        let automaton = NFA::builder().prefilter(false).build(&all)?;
        let start = automaton.start_state(Anchored::No)?;
        let mut depths = HashMap::from([(start, 0)]);
        for form in &all {
            let mut state = start;
            for (read, byte) in (1..).zip(form) {
                state = automaton.next_state(Anchored::No, state, *byte);
                depths.insert(state, read);
            }
        }
        Ok(Some(Self {
            automaton,
            start,
            depths,
            skip: Skip::new(&all),
        }))
    }

    /// A whole text, masked.
    #[must_use]
    pub fn mask(self: &Arc<Self>, text: &[u8]) -> Vec<u8> {
        let (mut masking, mut masked) = (Masking::new(Arc::clone(self)), Vec::with_capacity(text.len()));
        masking.pass(text, &mut masked);
        masking.release(&mut masked);
        masked
    }

    /// The length of the longest form that ends in this state.
    fn found(&self, state: StateID) -> Option<usize> {
        if !self.automaton.is_match(state) {
            return None;
        }
        let forms = (0..self.automaton.match_len(state)).map(|index| self.automaton.match_pattern(state, index));
        forms.map(|form| self.automaton.pattern_len(form)).max()
    }
}

/// A text on its way, in pieces.
#[derive(Debug)]
pub struct Masking {
    needles: Arc<Needles>,
    state: StateID,
    /// How many line breaks there were since the last other byte.
    breaks: usize,
    /// The end of what came, which may belong to a form that is not complete.
    held: Vec<u8>,
    /// What of it is to be masked in any case: apart from each other, and in order.
    hidden: Vec<Range<usize>>,
    /// Whether the last byte that was passed on was masked.
    in_mask: bool,
}

impl Masking {
    /// An empty text.
    #[must_use]
    pub fn new(needles: Arc<Needles>) -> Self {
        Self {
            state: needles.start,
            needles,
            breaks: 0,
            held: Vec::new(),
            hidden: Vec::new(),
            in_mask: false,
        }
    }

    /// Whether something is held back.
    #[must_use]
    pub fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Takes the next piece, and appends what can be passed on.
    pub fn pass(&mut self, piece: &[u8], to: &mut Vec<u8>) {
        let from = self.held.len();
        let text = if from == 0 {
            Cow::Borrowed(piece)
        } else {
            Cow::Owned([&self.held, piece].concat())
        };
        self.search(&text, from);
        // No form that is yet to end begins earlier.
        let depth = self.needles.depths.get(&self.state).copied().unwrap_or_default();
        let certain = begin(&text, text.len(), depth);
        self.emit(&text[..certain], to);
        self.held = text[certain..].to_vec();
    }

    /// Appends what is held back. Where a form continues after it, the rest is masked.
    pub fn release(&mut self, to: &mut Vec<u8>) {
        let text = std::mem::take(&mut self.held);
        self.emit(&text, to);
    }

    /// Looks for forms that end behind this place.
    fn search(&mut self, text: &[u8], from: usize) {
        let needles = Arc::clone(&self.needles);
        // The first line break that was not passed, once it is looked for.
        let (mut at, mut line_end) = (from, 0);
        while at < text.len() {
            if self.state == needles.start {
                if line_end < at {
                    line_end = memchr::memchr2(b'\n', b'\r', &text[at..]).map_or(text.len(), |length| at + length);
                }
                at += needles.skip.over(&text[at..line_end]);
            }
            let Some(byte) = text.get(at) else { break };
            at += 1;
            if is_break(*byte) {
                self.breaks += 1;
                if self.breaks > BREAKS {
                    self.state = needles.start;
                }
                continue;
            }
            self.breaks = 0;
            self.state = needles.automaton.next_state(Anchored::No, self.state, *byte);
            if let Some(length) = needles.found(self.state) {
                self.hide(begin(text, at, length)..at);
            }
        }
    }

    /// Marks bytes. Each range ends behind the one before.
    fn hide(&mut self, mut range: Range<usize>) {
        while let Some(last) = self.hidden.pop_if(|last| last.end >= range.start) {
            range.start = range.start.min(last.start);
        }
        self.hidden.push(range);
    }

    /// Appends the beginning of the text, and forgets it.
    fn emit(&mut self, text: &[u8], to: &mut Vec<u8>) {
        let mut shown = 0;
        for hidden in &self.hidden {
            let (from, until) = (hidden.start.min(text.len()), hidden.end.min(text.len()));
            if shown < from {
                to.extend_from_slice(&text[shown..from]);
                self.in_mask = false;
            }
            for byte in &text[from..until] {
                if is_break(*byte) {
                    to.push(*byte);
                } else if !self.in_mask {
                    to.extend_from_slice(MASK);
                }
                self.in_mask = !is_break(*byte);
            }
            shown = until;
        }
        if shown < text.len() {
            to.extend_from_slice(&text[shown..]);
            self.in_mask = false;
        }
        self.hidden.retain_mut(|hidden| {
            *hidden = hidden.start.saturating_sub(text.len())..hidden.end.saturating_sub(text.len());
            hidden.start < hidden.end
        });
    }
}

/// Where so many bytes begin that end at this place, without line breaks. Some of them may have been passed on already.
fn begin(text: &[u8], end: usize, length: usize) -> usize {
    let mut bytes = text[..end].iter().enumerate().rev().filter(|(_, byte)| !is_break(**byte));
    match length.checked_sub(1) {
        Some(others) => bytes.nth(others).map_or(0, |(at, _)| at),
        None => end,
    }
}

fn is_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Passes over text in which no form begins, some bytes at a time: by the last two bytes of a window, and then by its first two, as Wu and Manber's "A fast
/// algorithm for multi-pattern searching" (1994).
#[derive(Debug)]
struct Skip {
    /// The length of the window, in bytes: no form is shorter.
    window: usize,
    /// By how much a window may move that ends with these two bytes.
    shifts: Box<[u8; PAIRS]>,
    /// Whether a form begins with these two bytes.
    begins: Box<[bool; PAIRS]>,
    /// Whether a form begins with this byte.
    first: [bool; 1 << 8],
}

impl Skip {
    fn new(forms: &[Vec<u8>]) -> Self {
        let shortest = forms.iter().map(Vec::len).min().unwrap_or_default();
        let window = shortest.clamp(SHORTEST_WINDOW, WINDOW);
        let mut skip = Self {
            window,
            shifts: Box::new([u8::try_from(window - 1).unwrap_or_default(); PAIRS]),
            begins: Box::new([false; PAIRS]),
            first: [false; 1 << 8],
        };
        for form in forms {
            let pairs = form.windows(2).take(window - 1);
            for (pair, shift) in pairs.zip((0..window - 1).rev()) {
                let known = &mut skip.shifts[index(pair[0], pair[1])];
                *known = u8::try_from(shift).unwrap_or_default().min(*known);
            }
            skip.begins[index(form[0], form[1])] = true;
            skip.first[usize::from(form[0])] = true;
        }
        skip
    }

    /// The next place in this line in which a form may begin; its end if there is none. A form that begins near the end of a line may continue on the next one.
    fn over(&self, line: &[u8]) -> usize {
        let mut end = self.window;
        while let Some([before, last]) = line.get(end - 2..end) {
            let shift = usize::from(self.shifts[index(*before, *last)]);
            if shift == 0 {
                let at = end - self.window;
                if self.begins[index(line[at], line[at + 1])] {
                    return at;
                }
            }
            end += shift.max(1);
        }
        let at = (end - self.window).min(line.len());
        let begins = line[at..].iter().position(|byte| self.first[usize::from(*byte)]);
        begins.map_or(line.len(), |length| at + length)
    }
}

/// How many pairs of bytes there are.
const PAIRS: usize = 1 << 16;

fn index(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

#[cfg(test)]
mod tests;
