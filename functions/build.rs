//! The build script of every function: the program is linked for a fixed address.
//!
//! A program for any address has 40,000 pointers that are adjusted before it starts, which copies a megabyte of its pages: a quarter of what a function takes until
//! it is ready (docs/explanation/performance.md). Libraries, heap and stack still have random addresses. Programs in Go are linked in this way by default.

fn main() {
    println!("cargo::rerun-if-changed=../build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
