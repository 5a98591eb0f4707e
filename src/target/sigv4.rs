//! Signature version 4 of AWS: the headers that prove to Amazon OpenSearch Service who calls.

use super::Secret;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Who signs, and for what.
#[derive(Clone)]
pub struct Signer {
    /// The access key id.
    pub access_key: String,
    /// The secret access key.
    pub secret: Secret,
    /// The token of a session.
    pub token: Option<Secret>,
    /// The region of the service.
    pub region: String,
    /// The service: `es`.
    pub service: String,
    /// Seconds since 1970, for every request anew.
    pub clock: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer")
            .field("region", &self.region)
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// HMAC with SHA-256, RFC 2104.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0_u8; 64];
    let short = if key.len() > block.len() { Sha256::digest(key).to_vec() } else { key.to_vec() };
    block.iter_mut().zip(&short).for_each(|(b, k)| *b = *k);
    let keyed = |pad: u8, message: &[u8]| {
        let mut hash = Sha256::new();
        hash.update(block.map(|b| b ^ pad));
        hash.update(message);
        <[u8; 32]>::from(hash.finalize())
    };
    keyed(0x5c, &keyed(0x36, message))
}

/// A part of a URL as signatures want it: everything but letters, digits and `-._~` encoded; in a path `/`
/// stays.
fn encoded(text: &str, path: bool) -> String {
    text.split_inclusive('/')
        .map(|part| match part.strip_suffix('/') {
            Some(part) if path => crate::target::http::encode(part) + "/",
            _ => crate::target::http::encode(part),
        })
        .collect()
}

/// `20150830T123600Z`.
fn stamp(seconds: i64) -> String {
    let text = crate::es::date::format(i128::from(seconds) * 1_000_000_000);
    let mut out: String = text.chars().filter(char::is_ascii_alphanumeric).take(15).collect();
    out.push('Z');
    out
}

impl Signer {
    /// The headers to add to a request. `host` is without the port of its scheme; `target` is the path with
    /// its query, encoded as it is sent.
    pub fn headers(
        &self,
        method: &str,
        host: &str,
        target: &str,
        body: &[u8],
    ) -> Vec<(&'static str, String)> {
        let time = stamp((self.clock)());
        let hash = hex(&Sha256::digest(body));
        let mut out = vec![("x-amz-content-sha256", hash.clone()), ("x-amz-date", time.clone())];
        if let Some(token) = &self.token {
            out.push(("x-amz-security-token", token.expose().to_owned()));
        }
        let mut signed: Vec<(&str, &str)> = vec![("host", host)];
        signed.extend(out.iter().map(|(n, v)| (*n, v.as_str())));
        let authorization = self.authorization(method, target, &signed, &hash, &time);
        out.push(("authorization", authorization));
        out
    }

    /// The `Authorization` over some headers, their names in lower case.
    fn authorization(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body_hash: &str,
        time: &str,
    ) -> String {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut pairs: Vec<&str> = query.split('&').filter(|p| !p.is_empty()).collect();
        pairs.sort_unstable();
        let query: Vec<String> =
            pairs.iter().map(|p| if p.contains('=') { (*p).to_owned() } else { format!("{p}=") }).collect();
        let mut headers = headers.to_vec();
        headers.sort_unstable();
        let names: Vec<&str> = headers.iter().map(|(n, _)| *n).collect();
        let names = names.join(";");
        let listed: String = headers
            .iter()
            .map(|(n, v)| format!("{n}:{}\n", v.split_whitespace().collect::<Vec<_>>().join(" ")))
            .collect();
        // what is sent is encoded once, and all services but S3 sign it encoded twice
        let canonical =
            format!("{method}\n{}\n{}\n{listed}\n{names}\n{body_hash}", encoded(path, true), query.join("&"));
        let day = time.split('T').next().unwrap_or_default();
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let text =
            format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
        let first = format!("AWS4{}", self.secret.expose());
        let mut key = hmac(first.as_bytes(), day.as_bytes());
        for part in [self.region.as_str(), self.service.as_str(), "aws4_request"] {
            key = hmac(&key, part.as_bytes());
        }
        let signature = hex(&hmac(&key, text.as_bytes()));
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.access_key
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys, region and service of AWS's published test suite.
    fn signer() -> Signer {
        Signer {
            access_key: "AKIDEXAMPLE".to_owned(),
            secret: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            token: None,
            region: "us-east-1".to_owned(),
            service: "service".to_owned(),
            clock: Arc::new(|| 1_440_938_160),
        }
    }

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn the_published_vectors_are_signed_as_published() {
        assert_eq!(stamp(1_440_938_160), "20150830T123600Z");
        let headers = [("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")];
        for (method, target, signature) in [
            ("GET", "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            ("POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
            (
                "GET",
                "/?Param2=value2&Param1=value1",
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
        ] {
            let made = signer().authorization(method, target, &headers, EMPTY, "20150830T123600Z");
            assert!(
                made.ends_with(&format!("SignedHeaders=host;x-amz-date, Signature={signature}")),
                "{made}"
            );
        }
    }

    /// RFC 4231, cases 1 and 6.
    #[test]
    fn hmacs_are_those_of_the_rfc() {
        assert_eq!(
            hex(&hmac(&[0x0b; 20], b"Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        assert_eq!(
            hex(&hmac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn the_body_and_the_session_are_signed_and_the_secret_is_not_shown() {
        let signer = Signer { token: Some(Secret::new("session-token")), ..signer() };
        let headers = signer.headers("POST", "search.example.com", "/a%3Ab/_search?x=1", b"{}");
        let get = |n: &str| headers.iter().find(|(name, _)| *name == n).map(|(_, v)| v.clone()).unwrap();
        assert_eq!(get("x-amz-content-sha256"), hex(&Sha256::digest(b"{}")));
        assert!(
            get("authorization")
                .contains("SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token")
        );
        assert_eq!(encoded("/a%3Ab/c", true), "/a%253Ab/c");
        assert!(!format!("{signer:?}").contains("wJalr"));
    }
}
