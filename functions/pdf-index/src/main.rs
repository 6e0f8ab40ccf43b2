//! The function `pdf-index`: writes the metadata of new PDF files to a table. With the argument `read-pdf` it is the child that reads one file.

use std::process::ExitCode;

use bellhop_pdf_index::{sandbox, serve};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(sandbox::ARGUMENT) {
        return sandbox::run_child(arguments);
    }
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(serve()),
        Err(_) => ExitCode::FAILURE,
    }
}
