//! The control port over real sockets, with a node behind it that answers from a script: what goes through unharmed,
//! what is refused and how, and that nobody who connects can make it wait or grow.

mod calls;
mod cli;
mod events;
mod fake;
mod http;
mod intruders;
mod samples;
