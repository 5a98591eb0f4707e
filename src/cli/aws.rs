//! Credentials of AWS for signed requests: the environment, a profile of `~/.aws/credentials`, or a web
//! identity, as a pipeline has.

use crate::diag::{Code, Diagnostic};
use crate::target::Secret;
use crate::target::http::{Credentials, Http, Options, Repeat, encode};
use crate::target::sigv4::Signer;
use serde_json::Value;
use std::sync::Arc;

type Keys = (String, Secret, Option<Secret>);

fn wrong(message: String) -> Box<Diagnostic> {
    Box::new(
        Diagnostic::new(Code::RP0902, message)
            .help("docs/opensearch.md lists where credentials are looked for"),
    )
}

/// The signer of a target. `env` gives variables of the environment.
///
/// # Errors
/// Where there are no credentials.
pub fn signer(
    region: &str,
    profile: Option<&str>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Signer, Box<Diagnostic>> {
    let set = |name: &str| env(name).filter(|v| !v.trim().is_empty());
    let (access_key, secret, token) = match profile {
        Some(profile) => of_profile(profile, &set)?,
        None => match (set("AWS_ACCESS_KEY_ID"), set("AWS_SECRET_ACCESS_KEY")) {
            (Some(id), Some(secret)) => {
                (id, Secret::new(&secret), set("AWS_SESSION_TOKEN").map(|t| Secret::new(&t)))
            }
            _ if set("AWS_WEB_IDENTITY_TOKEN_FILE").is_some() => of_web_identity(region, &set)?,
            _ => of_profile(&set("AWS_PROFILE").unwrap_or_else(|| "default".to_owned()), &set)?,
        },
    };
    Ok(Signer {
        access_key,
        secret,
        token,
        region: region.to_owned(),
        service: "es".to_owned(),
        clock: Arc::new(|| jiff::Timestamp::now().as_second()),
    })
}

/// The keys of a profile in the shared file.
fn of_profile(profile: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Keys, Box<Diagnostic>> {
    let path = env("AWS_SHARED_CREDENTIALS_FILE")
        .or_else(|| Some(format!("{}/.aws/credentials", env("HOME").or_else(|| env("USERPROFILE"))?)))
        .ok_or_else(|| wrong("no credentials of AWS in the environment".to_owned()))?;
    let text = std::fs::read_to_string(&path).map_err(|e| {
        let why = crate::replay::input::reason(&e);
        wrong(format!("no credentials of AWS: not in the environment, and `{path}` cannot be read: {why}"))
    })?;
    keys_of_profile(&text, profile)
        .ok_or_else(|| wrong(format!("the profile `{profile}` of `{path}` has no access key")))
}

fn keys_of_profile(text: &str, profile: &str) -> Option<Keys> {
    let mut inside = false;
    let (mut id, mut secret, mut token) = (None, None, None);
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            inside = name.trim() == profile;
        } else if let Some((key, value)) = line.split_once('=').filter(|_| inside && !line.starts_with('#')) {
            let slot = match key.trim() {
                "aws_access_key_id" => &mut id,
                "aws_secret_access_key" => &mut secret,
                "aws_session_token" => &mut token,
                _ => continue,
            };
            *slot = Some(value.trim().to_owned());
        }
    }
    Some((id?, Secret::new(&secret?), token.map(|t| Secret::new(&t))))
}

/// The keys that the token service gives for a web identity.
fn of_web_identity(region: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Keys, Box<Diagnostic>> {
    let file = env("AWS_WEB_IDENTITY_TOKEN_FILE").unwrap_or_default();
    let role = env("AWS_ROLE_ARN").ok_or_else(|| wrong("`AWS_ROLE_ARN` is not set".to_owned()))?;
    let token = std::fs::read_to_string(&file)
        .map_err(|e| wrong(format!("`{file}` cannot be read: {}", crate::replay::input::reason(&e))))?;
    let session = env("AWS_ROLE_SESSION_NAME").unwrap_or_else(|| "rulepack".to_owned());
    let base = env("AWS_ENDPOINT_URL_STS").unwrap_or_else(|| format!("https://sts.{region}.amazonaws.com"));
    // as a secret, so that no error shows the token
    let mut options = Options::new(&base, Credentials::None);
    options.headers = &[("accept", "application/json")];
    let http = Http::new(options).map_err(wrong)?;
    let path = format!(
        "/?Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={}&RoleSessionName={}&WebIdentityToken={}",
        encode(&role),
        encode(&session),
        encode(token.trim())
    );
    let answer = http.send("GET", &path, None, Repeat::Free).map_err(|e| {
        let why = Secret::new(token.trim()).scrub(&e.to_string());
        wrong(format!("the token service gives no credentials for `{role}`: {why}"))
    })?;
    let given = "/AssumeRoleWithWebIdentityResponse/AssumeRoleWithWebIdentityResult/Credentials";
    let text =
        |key: &str| answer.pointer(&format!("{given}/{key}")).and_then(Value::as_str).map(str::to_owned);
    match (text("AccessKeyId"), text("SecretAccessKey"), text("SessionToken")) {
        (Some(id), Some(secret), Some(token)) => Ok((id, Secret::new(&secret), Some(Secret::new(&token)))),
        _ => Err(wrong("the answer of the token service has no credentials".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_from_the_environment_or_from_a_profile() {
        let env = |name: &str| match name {
            "AWS_ACCESS_KEY_ID" => Some("AKIAIOSFODNN7EXAMPLE".to_owned()),
            "AWS_SECRET_ACCESS_KEY" => Some("not-a-real-secret".to_owned()),
            _ => None,
        };
        let signer = signer("eu-west-1", None, &env).unwrap();
        assert_eq!((signer.access_key.as_str(), signer.service.as_str()), ("AKIAIOSFODNN7EXAMPLE", "es"));
        let text = "[default]\naws_access_key_id = A\naws_secret_access_key = s\n# aws_session_token = x\n\
                    [soc]\naws_access_key_id=B\naws_secret_access_key=t\naws_session_token=u\n";
        let (id, _, token) = keys_of_profile(text, "default").unwrap();
        assert!(id == "A" && token.is_none());
        let (id, secret, token) = keys_of_profile(text, "soc").unwrap();
        assert_eq!(
            (id.as_str(), secret.expose(), token.unwrap().expose().to_owned()),
            ("B", "t", "u".to_owned())
        );
        assert!(keys_of_profile(text, "none").is_none());
    }

    #[test]
    fn without_credentials_it_is_said_where_they_were_looked_for() {
        let d = signer("eu-west-1", None, &|_| None).unwrap_err();
        assert_eq!(d.code, Code::RP0902);
        let missing = |n: &str| (n == "HOME").then(|| "/nonexistent".to_owned());
        assert!(signer("eu-west-1", Some("x"), &missing).unwrap_err().message.contains("/nonexistent/.aws"));
    }
}
