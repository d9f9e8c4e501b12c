//! The cookie: 32 random bytes, fresh at each start, in a file that only the node's user can read. Beside it lies the
//! address, so that a folder is all that a client must be told. Nothing of the cookie is ever logged.

use super::json::to_hex;
use std::fs;
use std::hint::black_box;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file in the node's folder that holds `__cookie__:` and 64 hex digits.
pub const COOKIE_FILE: &str = "control.cookie";

/// The file in the node's folder that holds the control port's address, `host:port`.
pub const ADDRESS_FILE: &str = "control.address";

const USER: &str = "__cookie__";

/// A fresh cookie, as `user:password`.
pub(super) fn fresh() -> Result<String, getrandom::Error> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)?;
    Ok(format!("{USER}:{}", to_hex(&secret)))
}

/// The value of the `Authorization` header that shows this cookie (RFC 7617).
pub(super) fn authorization(cookie: &str) -> String {
    format!("Basic {}", base64(cookie.as_bytes()))
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

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |index| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * place) & 63) as usize] as char;
            text.push(if place <= chunk.len() { digit } else { '=' });
        }
    }
    text
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

/// A reader sees the old file or the new one, never half of one, and the mode is right from the first byte on.
fn replace(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let draft = folder.join(format!("{name}.new"));
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    drop(file);
    fs::rename(&draft, folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_the_values_of_rfc_4648() {
        let vectors = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, coded) in vectors {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

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
