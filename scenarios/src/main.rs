//! The `leyden` program: hands its arguments to the command line's library half and exits with what that says.
use std::process::ExitCode;

fn main() -> ExitCode {
    let code = leyden::cli::run(std::env::args_os(), &mut std::io::stdout(), &mut std::io::stderr());
    ExitCode::from(code)
}
