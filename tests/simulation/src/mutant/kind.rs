//! What a mistake is, and the macro that declares those of a subject.

/// A mistake on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mutant {
    /// Its name.
    pub name: &'static str,
    /// What the mistake is.
    pub mistake: &'static str,
    /// Within how many seeds it has to be found.
    pub within: u64,
}

/// What became of looking for a mistake.
#[derive(Debug, Clone)]
pub struct MutantResult {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub mistake: &'static str,
    /// Within how many seeds it has to be found.
    pub within: u64,
    /// The first seed that showed it.
    pub found_at_seed: Option<u64>,
    /// By which invariant.
    pub invariant: Option<&'static str>,
}

/// The mistakes of a subject: `NAME: "name" within SEEDS`, with what the mistake is as its docs.
macro_rules! mutants {
    ($(#[doc = $doc:literal] $name:ident: $text:literal within $within:literal,)*) => {
        impl Mutant {
            $(
                #[doc = $doc]
                pub const $name: Self = Self {
                    name: $text,
                    mistake: $doc.trim_ascii(),
                    within: $within,
                };
            )*
        }

        /// All of them.
        pub(super) const ALL: &[Mutant] = &[$(Mutant::$name,)*];
    };
}
