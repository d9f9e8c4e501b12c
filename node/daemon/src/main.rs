//! `leyden-node`: a Lightning node. Everything is in the library; this is the door.
fn main() -> std::process::ExitCode {
    leyden_node::start::main()
}
