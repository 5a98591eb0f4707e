//! The `rulepack` command.

fn main() -> std::process::ExitCode {
    rulepack::cli::main()
}
