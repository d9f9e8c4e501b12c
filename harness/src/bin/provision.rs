//! `leyden-provision`: makes sure that there is a usable bitcoind and prints its path. Under nextest (as a setup script) it
//! also hands the path to the tests. It starts no node.
use std::fs::File;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let exe = match leyden_harness::provision::bitcoind() {
        Ok(exe) => exe,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    println!("{}", exe.display());
    if let Some(path) = std::env::var_os("NEXTEST_ENV") {
        let told = File::options().append(true).open(&path);
        let told = told.and_then(|mut file| writeln!(file, "BITCOIND_EXE={}", exe.display()));
        if let Err(error) = told {
            eprintln!(
                "error: cannot tell nextest about bitcoind through {}: {error}",
                path.to_string_lossy()
            );
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
