//! The page.
use crate::net::Net;
use crate::run::Run;

/// The page.
pub fn render(_run: &Run, _net: &mut Net) -> String {
    String::new()
}
