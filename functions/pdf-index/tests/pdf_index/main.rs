//! The function `pdf-index` on sample events, on recorded answers of AWS, and on thousands of PDF files that nobody should have written.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what should not be")]

mod events;
mod files;
mod generate;
mod handler;
mod ports;
mod readings;
mod texts;
mod wire;
