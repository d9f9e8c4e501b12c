//! How the cookie is shown: its files' names, and the header. Nothing of it is ever logged.

/// The file in the node's folder that holds `__cookie__:` and 64 hex digits.
pub const COOKIE_FILE: &str = "control.cookie";

/// The file in the node's folder that holds the control port's address, `host:port`.
pub const ADDRESS_FILE: &str = "control.address";

/// The name that stands before the secret.
pub(super) const USER: &str = "__cookie__";

/// The value of the `Authorization` header that shows this cookie, `user:password` (RFC 7617). Bitcoin Core's is shown in the same way.
pub fn authorization(cookie: &str) -> String {
    format!("Basic {}", base64(cookie.as_bytes()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_the_values_of_rfc_4648() {
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, coded) in vectors {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
