//! Digest files: one object that lists the log files of an hour with their hashes.

use super::Errors;
use super::record::{Field, Node, Record};
use super::section::Section;
use super::time;

/// Whether a record is a digest.
pub(super) fn is_digest(record: &Record<'_>) -> bool {
    [Field::DigestStartTime, Field::DigestEndTime, Field::DigestS3Object, Field::LogFiles]
        .iter()
        .any(|f| !record.get(*f).is_null())
}

/// The time of a field; one that is none is an error and left out.
fn date(record: &Record<'_>, field: Field, name: &str, errors: &mut Errors) -> Option<String> {
    let text = record.get(field).text()?;
    let date = time::iso(&text);
    if date.is_none() {
        errors.add("date", name, format_args!("unable to parse date [{text}]"));
    }
    date
}

/// A digest's own time.
pub(super) fn end_time(record: &Record<'_>) -> Option<String> {
    time::iso(&record.get(Field::DigestEndTime).text()?)
}

/// `aws.cloudtrail.flattened.digest`.
pub(super) fn write(record: &Record<'_>, errors: &mut Errors) -> Section {
    let mut out = Section::default();
    out.maybe("start_time", date(record, Field::DigestStartTime, "digest_start_time", errors));
    out.maybe("end_time", date(record, Field::DigestEndTime, "digest_end_time", errors));
    out.maybe("newest_event_time", date(record, Field::NewestEventTime, "newest_event_time", errors));
    out.maybe("oldest_event_time", date(record, Field::OldestEventTime, "oldest_event_time", errors));
    let fingerprint = match record.get(Field::DigestPublicKeyFingerprint) {
        Node::Null => record.get(Field::PublicKeyFingerprint),
        known => known,
    };
    out.node("public_key_fingerprint", fingerprint);
    for (key, field) in [
        ("s3_bucket", Field::DigestS3Bucket),
        ("signature_algorithm", Field::DigestSignatureAlgorithm),
        ("previous_s3_bucket", Field::PreviousDigestS3Bucket),
        ("previous_s3_object", Field::PreviousDigestS3Object),
        ("previous_hash_value", Field::PreviousDigestHashValue),
        ("previous_hash_algorithm", Field::PreviousDigestHashAlgorithm),
        ("previous_signature", Field::PreviousDigestSignature),
        ("log_files", Field::LogFiles),
    ] {
        out.node(key, record.get(field));
    }
    out
}
