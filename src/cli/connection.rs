//! The way to a target: credentials from the environment or a helper command, proxy, certificates, and
//! what has to be right there before anything is read.

use super::Exit;
use crate::diag::{Code, Diagnostic, Severity};
use crate::pack::target::{Auth, DEMO};
use crate::pack::{Config, Target};
use crate::schema::Version;
use crate::target::Secret;
use crate::target::http::{Credentials, Failure, Http, Options};
use crate::target::kibana::{self, About, Kibana, Live, Rescue};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The oldest Kibana whose API is known well enough.
const OLDEST: Version = Version(8, 11, 0);

/// A Kibana that has been found ready.
pub struct Connection {
    /// The space.
    pub kibana: Kibana,
    /// What is worth a warning.
    pub warnings: Vec<Diagnostic>,
    /// Whether an API key is used, which rules then run with.
    pub by_api_key: bool,
    about: About,
    shown: String,
    is_demo: bool,
}

/// `https://kibana.example.com, space soc`.
pub fn address(target: &Target) -> String {
    match target.space.as_str() {
        "default" => target.address().to_owned(),
        space => format!("{}, space {space}", target.kibana),
    }
}

/// Where the credentials come from, in words.
pub fn identity(auth: &Auth) -> String {
    match auth {
        Auth::None => "no credentials".to_owned(),
        Auth::ApiKeyEnv(name) => format!("API key from {name}"),
        Auth::BasicEnv(name) => format!("user and password from {name}"),
        Auth::BearerEnv(name) => format!("token from {name}"),
        Auth::Command(words) => format!("API key from `{}`", words.first().map_or("", String::as_str)),
        Auth::ClientCertEnv(name) => format!("client certificate from {name}"),
        Auth::SigV4 { region, profile: None } => format!("signed for {region}"),
        Auth::SigV4 { region, profile: Some(profile) } => format!("signed for {region} by {profile}"),
    }
}

impl Connection {
    /// Connects to a target and looks whether rules can be written there.
    ///
    /// # Errors
    /// What stands in the way, and the exit for it.
    pub fn open(
        target: &Target,
        config: &Config,
        root: &Path,
    ) -> Result<Connection, (Box<Diagnostic>, Exit)> {
        let usage = |d: Diagnostic| (Box::new(d), Exit::Usage);
        if target.opensearch.is_some() {
            let message =
                format!("doing this with `{}`, which is OpenSearch, is not supported yet", target.name);
            return Err((Box::new(Diagnostic::new(Code::RP9001, message)), Exit::Findings));
        }
        if target.auth == Auth::None && !target.is_loopback() {
            let d = Diagnostic::new(Code::RP0902, format!("the target `{}` has no credentials", target.name))
                .help("`auth = { api_key_env = \"KIBANA_API_KEY\" }` in its table says where they are");
            return Err(usage(d));
        }
        let credentials = credentials(&target.auth).map_err(|d| (d, Exit::Usage))?;
        let by_api_key = matches!(credentials, Credentials::ApiKey(_));
        let mut options = kibana::options(&target.kibana, credentials);
        reach(target, root, &mut options).map_err(|d| (d, Exit::Usage))?;
        let http = Http::new(options).map_err(|why| usage(Diagnostic::new(Code::RP0901, why)))?;
        let mut connection = Connection {
            kibana: Kibana::new(http, &target.space),
            warnings: Vec::new(),
            by_api_key,
            about: About::default(),
            shown: target.kibana.clone(),
            is_demo: target.name == DEMO,
        };
        connection.preflight(target, config).map_err(|d| (d, Exit::Remote))?;
        Ok(connection)
    }

    fn preflight(&mut self, target: &Target, config: &Config) -> Result<(), Box<Diagnostic>> {
        self.about = self.kibana.about().map_err(|e| Box::new(self.refused("asking for its status", &e)))?;
        if let Some(version) = self.about.version.as_deref().and_then(Version::parse)
            && !self.about.serverless
        {
            if version < OLDEST {
                return Err(Box::new(Diagnostic::new(
                    Code::RP0903,
                    format!("Kibana {version} is too old: {OLDEST} is the oldest that works"),
                )));
            }
            if !config.stacks.iter().any(|s| (s.0, s.1) == (version.0, version.1)) {
                let stacks: Vec<String> = config.stacks.iter().map(ToString::to_string).collect();
                self.warnings.push(
                    Diagnostic::new(
                        Code::RP0903,
                        format!("Kibana is {version}, and the rules were checked for {}", stacks.join(", ")),
                    )
                    .severity(Severity::Warning)
                    .help("add it to `stacks` in rulepack.toml"),
                );
            }
        }
        if self.kibana.has_space().map_err(|e| Box::new(self.refused("looking for the space", &e)))?
            == Some(false)
        {
            return Err(Box::new(
                Diagnostic::new(Code::RP0903, format!("Kibana has no space `{}`", target.space))
                    .help("a space's identifier stands in its URL: `/s/<identifier>/`"),
            ));
        }
        let privileges =
            self.kibana.privileges().map_err(|e| Box::new(self.refused("asking for privileges", &e)))?;
        if privileges.get("is_authenticated") == Some(&Value::Bool(false)) {
            return Err(Box::new(Diagnostic::new(
                Code::RP0902,
                format!("Kibana does not know the caller ({})", identity(&target.auth)),
            )));
        }
        if privileges.get("has_encryption_key") == Some(&Value::Bool(false)) {
            return Err(Box::new(
                Diagnostic::new(Code::RP0903, "this Kibana has no encryption key, so no rule can run")
                    .help("set `xpack.encryptedSavedObjects.encryptionKey` in kibana.yml"),
            ));
        }
        if privileges.get("has_all_requested") == Some(&Value::Bool(false)) {
            self.warnings.push(
                Diagnostic::new(Code::RP0910, "the caller lacks privileges that rules need to run")
                    .note("rules read and write with the rights of who writes them")
                    .help("docs/identities.md lists the privileges"),
            );
        }
        Ok(())
    }

    /// What a failed request means for the user.
    pub fn refused(&self, doing: &str, e: &Failure) -> Diagnostic {
        let at = &self.shown;
        match e {
            Failure::Unreachable(why) | Failure::Lost(why) => {
                let d = Diagnostic::new(Code::RP0903, format!("{at} was not reached: {why}"));
                if self.is_demo {
                    d.help("`rulepack dev kibana` starts it")
                } else {
                    d.note(format!("while {doing}"))
                }
            }
            Failure::Refused { status: 401, message, .. } => {
                Diagnostic::new(Code::RP0902, format!("Kibana refuses the credentials: {message}"))
                    .help("docs/identities.md tells how to make an identity for deploys")
            }
            Failure::Refused { status: 403, message, .. } => {
                Diagnostic::new(Code::RP0902, format!("the credentials do not suffice, {doing}: {message}"))
                    .help(
                        "docs/identities.md lists the privileges; a key may also be limited to another space",
                    )
            }
            Failure::Refused { .. } => {
                Diagnostic::new(Code::RP0903, format!("Kibana refuses: {e}")).note(format!("while {doing}"))
            }
        }
    }

    /// `Kibana 9.5.1`.
    pub fn about(&self) -> String {
        match &self.about.version {
            _ if self.about.serverless => "Kibana serverless".to_owned(),
            Some(version) => format!("Kibana {version}"),
            None => "Kibana of a version that it hides".to_owned(),
        }
    }

    /// The version, where the caller may know it.
    pub fn version(&self) -> Option<&str> {
        self.about.version.as_deref()
    }
}

/// How a target is reached: the certificates that are trusted, and the proxy.
///
/// # Errors
/// Certificates that cannot be read.
pub fn reach(target: &Target, root: &Path, options: &mut Options) -> Result<(), Box<Diagnostic>> {
    if let Some(path) = &target.ca {
        let file = root.join(path);
        options.ca = Some(std::fs::read(&file).map_err(|e| {
            let why = crate::replay::input::reason(&e);
            let message = format!("the certificates in `{path}` cannot be read: {why}");
            Box::new(Diagnostic::new(Code::RP0901, message))
        })?);
    }
    options.proxy = match &target.proxy {
        Some(proxy) => Some(Secret::new(proxy)),
        None if target.is_loopback() => None,
        None => proxy(host(target.address()), &|name| std::env::var(name).ok()),
    };
    Ok(())
}

/// The credentials that the configuration names.
///
/// # Errors
/// Where they are not there.
pub fn credentials(auth: &Auth) -> Result<Credentials, Box<Diagnostic>> {
    let from = |name: &str| match std::env::var(name) {
        Ok(text) if !text.trim().is_empty() => Ok(Secret::new(&text)),
        _ => Err(Box::new(
            Diagnostic::new(Code::RP0902, format!("the environment variable `{name}` is not set"))
                .help("it holds the credentials of this target"),
        )),
    };
    Ok(match auth {
        Auth::None => Credentials::None,
        Auth::ApiKeyEnv(name) => Credentials::ApiKey(encoded(from(name)?)),
        Auth::BearerEnv(name) => Credentials::Bearer(from(name)?),
        Auth::BasicEnv(name) => {
            let pair = from(name)?;
            if !pair.expose().contains(':') {
                return Err(Box::new(Diagnostic::new(
                    Code::RP0902,
                    format!("`{name}` is not of the form user:password"),
                )));
            }
            Credentials::Basic(pair)
        }
        Auth::Command(words) => Credentials::ApiKey(encoded(helper(words)?)),
        Auth::ClientCertEnv(_) | Auth::SigV4 { .. } => {
            let message = "a client certificate or a signature of AWS is not supported yet for Kibana";
            return Err(Box::new(Diagnostic::new(Code::RP9001, message)));
        }
    })
}

/// An API key as Kibana takes it: `id:key` is encoded.
fn encoded(key: Secret) -> Secret {
    if key.expose().contains(':') { key.base64() } else { key }
}

/// The output of a helper command; what it says on stderr is shown as it is.
fn helper(words: &[String]) -> Result<Secret, Box<Diagnostic>> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(Box::new(Diagnostic::new(Code::RP0902, "the helper command is empty")));
    };
    let failed = |why: String| {
        Box::new(Diagnostic::new(
            Code::RP0902,
            format!("the helper command `{program}` gave no credentials: {why}"),
        ))
    };
    let out = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| failed(crate::replay::input::reason(&e)))?;
    if !out.status.success() {
        return Err(failed(out.status.to_string()));
    }
    let text = String::from_utf8(out.stdout).map_err(|_| failed("its output is no text".to_owned()))?;
    let secret = Secret::new(&text);
    if secret.expose().is_empty() { Err(failed("it printed nothing".to_owned())) } else { Ok(secret) }
}

/// The host of a URL, without its port.
pub fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    authority
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        .map_or(authority, |(h, _)| h)
}

/// The proxy that the environment has for an https host.
fn proxy(host: &str, env: &dyn Fn(&str) -> Option<String>) -> Option<Secret> {
    let first = |names: &[&str]| names.iter().find_map(|n| env(n).filter(|v| !v.trim().is_empty()));
    let without = first(&["NO_PROXY", "no_proxy"]).unwrap_or_default();
    let direct = |entry: &str| {
        let entry = entry.trim().trim_start_matches('.');
        entry == "*" || (!entry.is_empty() && (host == entry || host.ends_with(&format!(".{entry}"))))
    };
    if without.split(',').any(direct) {
        return None;
    }
    first(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]).map(|p| Secret::new(&p))
}

/// The folder where rules are kept while they are being replaced: `.rulepack/rescue/<target>/`.
pub struct Place(PathBuf);

impl Place {
    /// The folder of a target.
    pub fn new(root: &Path, target: &Target) -> Place {
        Place(root.join(".rulepack").join("rescue").join(plain(&target.name)))
    }

    /// The rules that an earlier deploy left there.
    pub fn kept(&self) -> BTreeMap<String, Live> {
        let files = std::fs::read_dir(&self.0).into_iter().flatten().flatten();
        files
            .filter_map(|f| serde_json::from_slice(&std::fs::read(f.path()).ok()?).ok())
            .map(|json: Value| Live::new(json))
            .map(|live| (live.rule_id().to_owned(), live))
            .collect()
    }

    fn file(&self, rule: &Live) -> PathBuf {
        self.0.join(format!("{}-{}.json", plain(rule.rule_id()), plain(rule.id())))
    }
}

/// A name of which nothing but letters, digits, `-` and `_` is left.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' })
        .take(80)
        .collect()
}

impl Rescue for Place {
    fn keep(&self, rule: &Live) -> Result<String, String> {
        let file = self.file(rule);
        super::files::write(&file, Value::Object(rule.json().clone()).to_string().as_bytes())?;
        Ok(file.display().to_string())
    }

    fn release(&self, rule: &Live) {
        for (_, kept) in self.kept().iter().filter(|(id, _)| *id == rule.rule_id()) {
            // a copy that cannot be taken away does no harm: it counts only where the rule is missing
            let _ = std::fs::remove_file(self.file(kept));
        }
        let _ = std::fs::remove_file(self.file(rule));
        // the folders go with their last file
        let _ = std::fs::remove_dir(&self.0)
            .and_then(|()| std::fs::remove_dir(self.0.parent().unwrap_or(&self.0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_of_the_environment_holds_for_hosts_that_are_not_excepted() {
        let env = |no: &'static str| {
            move |name: &str| match name {
                "HTTPS_PROXY" => Some("http://u:pw@proxy.example.com:3128".to_owned()),
                "NO_PROXY" => Some(no.to_owned()),
                _ => None,
            }
        };
        assert!(proxy("kibana.example.com", &env("")).is_some());
        assert!(proxy("kibana.example.com", &env("other.example.com, .example.com")).is_none());
        assert!(proxy("kibana.example.com", &env("*")).is_none());
        assert!(proxy("notexample.com", &env("example.com")).is_some());
        assert_eq!(host("https://kibana.example.com:5601/base"), "kibana.example.com");
    }

    #[test]
    fn a_rescued_rule_is_found_again_until_it_is_released() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path(), &Target::demo());
        let rule = Live::new(
            serde_json::json!({"id": "1", "rule_id": "../x", "exceptions_list": [{"list_id": "l"}]}),
        );
        place.keep(&rule).unwrap();
        assert_eq!(place.kept().get("../x"), Some(&rule));
        place.release(&rule);
        assert!(place.kept().is_empty());
        assert!(!dir.path().join(".rulepack/rescue").exists());
    }
}
