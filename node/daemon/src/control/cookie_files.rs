//! The cookie's side of the server: 32 random bytes, fresh at each start, in a file that only the node's user can read. Beside it lies
//! the address, so that a folder is all that a client must be told.
use super::cookie::{ADDRESS_FILE, COOKIE_FILE, USER};
use super::json::to_hex;
use crate::store::folder::draft;
use std::fs;
use std::hint::black_box;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A fresh cookie, as `user:password`.
pub(super) fn fresh() -> Result<String, getrandom::Error> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)?;
    Ok(format!("{USER}:{}", to_hex(&secret)))
}

/// Whether a header's value shows the cookie. The time it takes tells nothing of where they differ.
pub(super) fn matches(given: &[u8], expected: &str) -> bool {
    let expected = expected.as_bytes();
    // The scheme's name is free in its case, and no secret.
    let scheme = "basic ".len();
    if given.len() != expected.len() || !given[..scheme].eq_ignore_ascii_case(b"basic ") {
        return false;
    }
    let pairs = given[scheme..].iter().zip(&expected[scheme..]);
    pairs.fold(0, |differ, (a, b)| black_box(differ | (a ^ b))) == 0
}

/// The two files of a running control port; gone with it.
pub(super) struct Files {
    folder: PathBuf,
}

impl Files {
    /// Writes both, replacing those of a node that was killed.
    pub(super) fn write(folder: &Path, cookie: &str, address: SocketAddr) -> io::Result<Self> {
        replace(folder, COOKIE_FILE, cookie)?;
        replace(folder, ADDRESS_FILE, &address.to_string())?;
        Ok(Self { folder: folder.to_owned() })
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for name in [ADDRESS_FILE, COOKIE_FILE] {
            // A folder that is gone already has no files to leave behind.
            let _ = fs::remove_file(self.folder.join(name));
        }
    }
}

/// The mode is right from the first byte on. Nothing that has to survive the machine.
fn replace(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let (draft, _) = draft(folder, name, text)?;
    fs::rename(draft, folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::super::cookie::authorization;
    use super::*;

    #[test]
    fn only_the_cookie_matches() {
        let expected = authorization("__cookie__:00ff");
        assert!(matches(expected.as_bytes(), &expected));
        assert!(matches(expected.replace("Basic", "bAsIc").as_bytes(), &expected));
        assert!(!matches(authorization("__cookie__:00fe").as_bytes(), &expected));
        assert!(!matches(b"", &expected));
        assert!(!matches(&expected.as_bytes()[1..], &expected));
    }
}
