//! Puts loom's locks under the gate, here and nowhere else.

fn main() {
    println!("cargo::rustc-cfg=tower_clerk_loom");
}
