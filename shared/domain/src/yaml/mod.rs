//! How users' files are read: the text with its lines, values within bounds, and errors in one line.
//!
//! [`Source`] holds a file's text, parses it into types with bounds (size, nesting, values once aliases are expanded), and finds the line of a field
//! again. `values` has the types that several parsers share, such as [`Name`] and [`Timespan`], which check what they read. A [`FileError`] names file,
//! line and field, and says what was expected.
//!
//! Parsers of particular things live where those things are: `config` for the two files, `executor` for agent templates, `alarm` for remedies. Of their
//! keys, this room knows only which may be shown in an error (`source`), and what other systems call them.

mod error;
mod source;
mod values;

pub(crate) use error::{FieldPath, quoted, suggestion};
pub use error::{FileError, PIPELINE_FILE, SUITE_FILE, is_misnamed, nearest};
pub(crate) use source::Source;
pub(crate) use values::{Arn, Document, Entries, Flag, Id, LogGroup, Name, OneOrMany, Timespan, Version, Whole, Word, WordOr};
