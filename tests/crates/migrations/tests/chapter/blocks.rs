use std::fs;

use crate::table::path;

/// The programs in the order of the chapter. It calls axum 0.7 by its name.
const PROGRAMS: [&str; 7] = [
    include_str!("../../src/by_hand/before.rs"),
    include_str!("../../src/by_hand/after.rs"),
    include_str!("../../src/clerk_rs/before.rs"),
    include_str!("../../src/clerk_rs/after.rs"),
    include_str!("../../src/jwt_authorizer/before.rs"),
    include_str!("../../src/jwt_authorizer/after.rs"),
    include_str!("../../src/by_hand/during.rs"),
];

#[test]
fn the_chapter_shows_the_programs_of_this_package() {
    let chapter = fs::read_to_string(path()).expect("the chapter");
    let blocks = chapter.split("```rust\n").skip(1);
    let blocks: Vec<&str> = blocks.map(|block| block.split_once("```").expect("the end of a block").0).collect();
    assert_eq!(blocks.len(), PROGRAMS.len());
    for (block, program) in blocks.iter().zip(PROGRAMS) {
        assert_eq!(*block, program.replace("axum07", "axum"));
    }
}
