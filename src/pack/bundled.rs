//! The pack that comes with the binary, for `rulepack init --with aws-iam`.

/// A file of the bundled pack: its path below the pack, and its content.
pub type BundledFile = (&'static str, &'static [u8]);

/// The name of the bundled pack.
pub const NAME: &str = "aws-iam";

/// The `rulepack.toml` of the bundled pack.
pub const CONFIG: &str = r#"#:schema https://raw.githubusercontent.com/rulepack/rulepack/main/schemas/rulepack.schema.json
[pack]
name = "aws-iam"
stacks = ["8.19", "9.5"]

[generate]
dir = "generated"
bundle = true
docs = true

[schemas]
"logs-aws.cloudtrail-*" = { builtin = "aws.cloudtrail", package = "8.9.0" }
"#;

/// The rules, tests and fixtures of the bundled pack, sorted by path within each folder.
pub static FILES: &[BundledFile] = include!(concat!(env!("OUT_DIR"), "/bundled.rs"));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::Config;

    #[test]
    fn the_bundled_pack_has_rules_tests_fixtures_and_a_configuration_without_findings() {
        for folder in ["rules-toml/aws/iam/", "tests/rules/aws/iam/", "tests/fixtures/"] {
            assert!(FILES.iter().filter(|(path, _)| path.starts_with(folder)).count() > 10, "{folder}");
        }
        let (config, found) = Config::read("rulepack.toml", CONFIG.as_bytes().to_vec());
        assert!(found.is_empty(), "{found:#?}");
        assert_eq!(config.unwrap().name, NAME);
    }
}
