//! A credential that cannot be printed by mistake.

/// A password, key or token. Neither `Debug` nor `Display` show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a credential; white space around it, as commands print it, is no part of it.
    pub fn new(text: &str) -> Secret {
        Secret(text.trim().to_owned())
    }

    /// The credential itself, for the request that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The credential in Base64, for APIs that take it so.
    pub fn base64(&self) -> Secret {
        Secret(base64(self.0.as_bytes()))
    }

    /// What the credential says where it is Base64 of a text.
    pub fn unbase64(&self) -> Option<Secret> {
        let mut bytes = Vec::with_capacity(self.0.len() / 4 * 3);
        let (mut bits, mut held) = (0u32, 0u32);
        for byte in self.0.trim_end_matches('=').bytes() {
            let digit = DIGITS.iter().position(|d| *d == byte).and_then(|d| u32::try_from(d).ok())?;
            (bits, held) = (bits << 6 | digit, held + 6);
            if held >= 8 {
                held -= 8;
                bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
            }
        }
        String::from_utf8(bytes).ok().map(Secret)
    }

    /// A text without the credential, should it occur there.
    pub fn scrub(&self, text: &str) -> String {
        // what is so short would only punch holes into innocent words
        if self.0.len() < 4 { text.to_owned() } else { text.replace(&self.0, "[secret]") }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret([secret])")
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 with padding, as `Authorization: Basic` wants it.
pub(super) fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (i, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = DIGITS.get((bits >> shift & 63) as usize).copied().unwrap_or(b'=');
            out.push(if i <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_itself_nowhere() {
        let secret = Secret::new(" hunter22\n");
        assert_eq!(secret.expose(), "hunter22");
        assert!(!format!("{secret:?}").contains("hunter22"));
        assert_eq!(secret.scrub("no key hunter22 here"), "no key [secret] here");
    }

    #[test]
    fn what_is_no_base64_of_a_text_has_no_meaning() {
        for other in ["a b", "essu_key-1", "////"] {
            assert_eq!(Secret::new(other).unbase64(), None, "{other}");
        }
    }

    #[test]
    fn base64_pads() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
            assert_eq!(Secret::new(coded).unbase64(), Some(Secret::new(plain)));
        }
    }
}
