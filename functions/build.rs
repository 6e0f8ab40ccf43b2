//! The build script of every function: the program is linked for a fixed address.
//!
//! A program for any address has pointers that are adjusted before it starts. In `push` that were 40,550, on a megabyte of pages that were copied for it:
//! a quarter of the time until the function is ready (docs/explanation/performance.md). Libraries, heap and stack still have random addresses. Programs in
//! Go are linked in this way by default.

fn main() {
    println!("cargo::rerun-if-changed=../build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
