//! The reference page of ES|QL is what its tables say.

use std::path::Path;

#[test]
fn the_page_is_made_from_the_tables() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/esql.md");
    let wanted = rulepack::lang::esql::reference::markdown();
    if std::env::var_os("RULEPACK_WRITE").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let held = std::fs::read_to_string(&path).unwrap();
    assert!(
        held == wanted,
        "docs/reference/esql.md is stale: RULEPACK_WRITE=1 cargo test --test it esql_reference"
    );
}
