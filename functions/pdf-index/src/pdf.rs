//! From the bytes of a PDF file to its metadata. Pure: no I/O, no clock.
//!
//! Bounded by what it returns only. Memory, time and stack that the parser takes for a hostile file are the matter of [`crate::sandbox`].

pub mod text;

use hayro_syntax::object::DateTime;
use hayro_syntax::{DecryptionError, LoadPdfError, Pdf, PdfVersion};
use jiff::civil;
use jiff::tz::{Offset, TimeZone};
use serde::{Deserialize, Serialize};

/// How far from its beginning a file may say that it is a PDF. Programs accept that much before it.
const HEADER_WITHIN: usize = 1024;
/// No user has this password. A file that does not open with it, but does without one, is encrypted.
const NO_PASSWORD: &str = "\u{1}pdf-index asks whether this file is encrypted\u{2}";

/// What is known about a document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The title, as [`text::decode`] gives it; so are the five that follow.
    pub title: Option<String>,
    /// Who wrote the document.
    pub author: Option<String>,
    /// What the document is about.
    pub subject: Option<String>,
    /// Keywords, in one text.
    pub keywords: Option<String>,
    /// The program in which the document was written.
    pub creator: Option<String>,
    /// The program that made the PDF of it.
    pub producer: Option<String>,
    /// When the document was created, as RFC 3339.
    pub created: Option<String>,
    /// When the document was changed, as RFC 3339.
    pub modified: Option<String>,
    /// The number of pages; `None` if the document does not open without a password.
    pub pages: Option<u64>,
    /// The version of PDF, such as `1.7`.
    pub version: Option<String>,
    /// Whether the document is encrypted, with or without a password.
    pub encrypted: bool,
}

impl Metadata {
    /// All texts by the names of their attributes in the index.
    #[must_use]
    pub fn texts(&self) -> [(&'static str, Option<&str>); 9] {
        [
            ("title", self.title.as_deref()),
            ("author", self.author.as_deref()),
            ("subject", self.subject.as_deref()),
            ("keywords", self.keywords.as_deref()),
            ("creator", self.creator.as_deref()),
            ("producer", self.producer.as_deref()),
            ("document_created_at", self.created.as_deref()),
            ("document_modified_at", self.modified.as_deref()),
            ("pdf_version", self.version.as_deref()),
        ]
    }
}

/// The result for a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reading {
    /// It was read.
    Metadata(Box<Metadata>),
    /// It cannot be read, today or later.
    Unreadable {
        /// Why, for people, in one line.
        why: String,
    },
}

impl Reading {
    /// A file that cannot be read.
    #[must_use]
    pub fn unreadable(why: impl Into<String>) -> Self {
        Self::Unreadable { why: why.into() }
    }
}

/// Reads a file.
#[must_use]
pub fn read(bytes: Vec<u8>) -> Reading {
    if bytes.is_empty() {
        return Reading::unreadable("the file is empty");
    }
    let start = bytes.get(..HEADER_WITHIN).unwrap_or(&bytes);
    if !start.windows(5).any(|part| part == b"%PDF-") {
        return Reading::unreadable("the file is not a PDF");
    }
    let bytes = std::sync::Arc::new(bytes);
    match Pdf::new(std::sync::Arc::clone(&bytes)) {
        Ok(pdf) => {
            let again = Pdf::new_with_password(bytes, NO_PASSWORD);
            let encrypted = matches!(again, Err(LoadPdfError::Decryption(_)));
            Reading::Metadata(Box::new(of(&pdf, encrypted)))
        }
        Err(LoadPdfError::Decryption(DecryptionError::PasswordProtected | DecryptionError::UnsupportedAlgorithm)) => {
            let metadata = Metadata {
                encrypted: true,
                ..Metadata::default()
            };
            Reading::Metadata(Box::new(metadata))
        }
        Err(LoadPdfError::Decryption(_)) => Reading::unreadable("the encryption of the file is damaged"),
        Err(LoadPdfError::Invalid) => Reading::unreadable("the file is damaged"),
    }
}

fn of(pdf: &Pdf, encrypted: bool) -> Metadata {
    let information = pdf.metadata();
    let text = |bytes: &Option<Box<[u8]>>| bytes.as_deref().and_then(text::decode);
    Metadata {
        title: text(&information.title),
        author: text(&information.author),
        subject: text(&information.subject),
        keywords: text(&information.keywords),
        creator: text(&information.creator),
        producer: text(&information.producer),
        created: information.creation_date.as_ref().and_then(rfc3339),
        modified: information.modification_date.as_ref().and_then(rfc3339),
        pages: u64::try_from(pdf.pages().len()).ok(),
        version: Some(version(pdf.version()).to_owned()),
        encrypted,
    }
}

/// A date of the document information. One without a zone counts as UTC.
fn rfc3339(date: &DateTime) -> Option<String> {
    let part = |value: u8| i8::try_from(value).ok();
    let local = civil::DateTime::new(
        i16::try_from(date.year).ok()?,
        part(date.month)?,
        part(date.day)?,
        part(date.hour)?,
        part(date.minute)?,
        part(date.second)?,
        0,
    );
    let minutes = i32::from(date.utc_offset_minute);
    let hours = i32::from(date.utc_offset_hour);
    let seconds = 60 * (60 * hours + if hours < 0 { -minutes } else { minutes });
    let offset = Offset::from_seconds(seconds).ok()?;
    let at = local.ok()?.to_zoned(TimeZone::fixed(offset)).ok()?;
    Some(at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
}

fn version(version: PdfVersion) -> &'static str {
    match version {
        PdfVersion::Pdf10 => "1.0",
        PdfVersion::Pdf11 => "1.1",
        PdfVersion::Pdf12 => "1.2",
        PdfVersion::Pdf13 => "1.3",
        PdfVersion::Pdf14 => "1.4",
        PdfVersion::Pdf15 => "1.5",
        PdfVersion::Pdf16 => "1.6",
        PdfVersion::Pdf17 => "1.7",
        PdfVersion::Pdf20 => "2.0",
    }
}
