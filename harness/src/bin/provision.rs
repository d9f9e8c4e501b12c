//! `leyden-provision`: makes sure that there is a usable bitcoind and a usable electrs, and prints `BITCOIND_EXE=` and
//! `ELECTRS_EXE=` with their paths. Under nextest (as a setup script) it also hands these to the tests. It starts no node.
use leyden_harness::provision::{bitcoind, electrs, Program, ProvisionError};
use std::fs::File;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let lines = match provision() {
        Ok(lines) => lines,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    print!("{lines}");
    if let Some(path) = std::env::var_os("NEXTEST_ENV") {
        let told = File::options().append(true).open(&path);
        let told = told.and_then(|mut file| file.write_all(lines.as_bytes()));
        if let Err(error) = told {
            let path = path.to_string_lossy();
            eprintln!("error: cannot tell nextest about bitcoind and electrs through {path}: {error}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn provision() -> Result<String, ProvisionError> {
    let named = [(Program::Bitcoind, bitcoind()?), (Program::Electrs, electrs()?)];
    Ok(named.map(|(program, exe)| format!("{}={}\n", program.variable(), exe.display())).concat())
}
