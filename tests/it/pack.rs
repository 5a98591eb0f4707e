//! The pack of this repository is in order: valid, tested and generated.

use std::process::Command;

#[test]
fn the_packs_rules_are_valid_tested_and_generated() {
    let out = Command::new(env!("CARGO_BIN_EXE_rulepack"))
        .arg("ci")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
}
