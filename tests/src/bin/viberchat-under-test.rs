//! The binary that the tests start: `viberchat` with mutants, kill points and the SQLite file layer compiled in.

use std::process::ExitCode;

fn main() -> ExitCode {
    viberchat_cli::main()
}
