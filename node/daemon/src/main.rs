//! `leyden-node`: the command line.
fn main() {}
