//! The `viberchat` binary.

fn main() -> std::process::ExitCode {
    viberchat_cli::main()
}
