//! Makes the gate use loom's locks in this crate.

fn main() {
    println!("cargo::rustc-cfg=tower_clerk_loom");
}
