//! Writes inputs to begin a corpus with: `cargo +nightly run --example seeds -- FOLDER` makes one folder for each target.
//! What grew from them is kept in `corpus`, minimised.

use std::fs;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "seeds".to_owned());
    for (target, number, bytes) in leyden_fuzz::seeds::all() {
        let target = Path::new(&folder).join(target);
        fs::create_dir_all(&target)?;
        fs::write(target.join(format!("seed-{number}")), bytes)?;
    }
    Ok(())
}
