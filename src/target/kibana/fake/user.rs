//! Who calls: the kind of the credential and a name. The credential itself is not kept.

/// The caller of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    /// What `created_by` and `updated_by` say.
    pub(super) name: String,
    /// The kind of credential.
    pub(super) auth: Auth,
}

/// The kinds of credential that Kibana accepts (contract 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Auth {
    None,
    Basic,
    ApiKey,
    Bearer,
}

impl Auth {
    /// The kind as the log and the state show it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Auth::None => "none",
            Auth::Basic => "basic",
            Auth::ApiKey => "api_key",
            Auth::Bearer => "bearer",
        }
    }
}

impl User {
    /// The caller that an `Authorization` header names; anybody is let in.
    pub(super) fn of(header: Option<&str>) -> User {
        let user = |name: &str, auth| User { name: name.to_owned(), auth };
        let (scheme, rest) = header.unwrap_or("").split_once(' ').unwrap_or(("", ""));
        match scheme.to_ascii_lowercase().as_str() {
            "basic" => {
                let pair = base64(rest).and_then(|b| String::from_utf8(b).ok()).unwrap_or_default();
                let name = pair.split(':').next().filter(|n| !n.is_empty());
                user(name.unwrap_or("basic-user"), Auth::Basic)
            }
            "apikey" => user("api-key-owner", Auth::ApiKey),
            "bearer" => user("token-user", Auth::Bearer),
            _ => user("anonymous", Auth::None),
        }
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut bits, mut held) = (0u32, 0);
    for c in text.trim().trim_end_matches('=').bytes() {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from((bits >> held) & 0xff).unwrap_or_default());
            bits &= (1 << held) - 1;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_the_credential_is_seen_and_only_a_user_name_is_kept() {
        let seen = |h| {
            let u = User::of(h);
            (u.name, u.auth)
        };
        assert_eq!(seen(Some("Basic Zm9vOmJhcg==")), ("foo".to_owned(), Auth::Basic));
        assert_eq!(seen(Some("basic !")), ("basic-user".to_owned(), Auth::Basic));
        assert_eq!(seen(Some("ApiKey Zm9vOmJhcg==")), ("api-key-owner".to_owned(), Auth::ApiKey));
        assert_eq!(seen(Some("Bearer abc")), ("token-user".to_owned(), Auth::Bearer));
        assert_eq!(seen(None), ("anonymous".to_owned(), Auth::None));
    }
}
