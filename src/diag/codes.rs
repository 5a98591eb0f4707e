//! The table of diagnostic codes: one row a code, by phase, never reused. The page behind a code is
//! `docs/codes/<code>.md`; `rulepack explain` prints it.

use super::Severity;
use Severity::{Error, Note, Warning};

/// A stable code such as `RP0201`, as its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(u16);

/// What is known of a code.
#[derive(Debug)]
pub struct CodeInfo {
    /// The code.
    pub code: Code,
    /// A few words that name the mistake.
    pub title: &'static str,
    /// How much it matters unless a setting says otherwise.
    pub severity: Severity,
    /// The page of the code, Markdown.
    pub page: &'static str,
}

impl Code {
    /// The row of this code.
    pub fn info(self) -> &'static CodeInfo {
        // a code can only be made in this file, beside its row
        CODES.iter().find(|i| i.code == self).unwrap_or(&UNKNOWN)
    }

    /// The code that is written so, in any case.
    pub fn parse(text: &str) -> Option<Code> {
        let number = text.get(..2).filter(|p| p.eq_ignore_ascii_case("RP")).and(text.get(2..))?;
        let code = Code(number.parse().ok().filter(|_| number.len() == 4)?);
        CODES.iter().any(|i| i.code == code).then_some(code)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RP{:04}", self.0)
    }
}

const UNKNOWN: CodeInfo = CodeInfo { code: Code(9002), title: "bug in rulepack", severity: Error, page: "" };

macro_rules! codes {
    ($($name:ident $number:literal $severity:ident $title:literal;)*) => {
        impl Code {
            $(#[doc = $title] pub const $name: Code = Code($number);)*
        }
        /// Every code, in order.
        pub static CODES: &[CodeInfo] = &[
            $(CodeInfo {
                code: Code::$name,
                title: $title,
                severity: $severity,
                page: include_str!(concat!("../../docs/codes/", stringify!($name), ".md")),
            },)*
        ];
    };
}

codes! {
    RP0001 1 Error "unreadable file";
    RP0002 2 Error "text that is not UTF-8";
    RP0003 3 Error "TOML syntax";
    RP0004 4 Error "missing key";
    RP0005 5 Error "unknown key";
    RP0006 6 Error "value of the wrong type";
    RP0007 7 Error "value that is not allowed";
    RP0008 8 Error "file or value beyond the limits";
    RP0009 9 Error "record that is not JSON";
    RP0010 10 Error "damaged gzip";
    RP0011 11 Error "record that cannot be used";
    RP0012 12 Error "input of an unknown shape";
    RP0101 101 Error "query syntax";
    RP0102 102 Error "escape or literal";
    RP0103 103 Error "string without an end";
    RP0104 104 Error "query nested too deep";
    RP0105 105 Error "old or unsupported construct";
    RP0106 106 Error "pipe";
    RP0107 107 Error "time span";
    RP0108 108 Error "sequence or sample structure";
    RP0201 201 Error "unknown field";
    RP0202 202 Note "dataset without a field catalogue";
    RP0203 203 Error "nested field";
    RP0204 204 Error "field of an unsupported type";
    RP0205 205 Warning "field pattern without a field";
    RP0206 206 Warning "object used as a value";
    RP0207 207 Error "field of several types";
    RP0301 301 Error "value that does not fit its field";
    RP0302 302 Error "pattern or function on a field that is no string";
    RP0303 303 Error "condition that is not boolean";
    RP0304 304 Error "operands of different types";
    RP0305 305 Error "text field without an exact form";
    RP0306 306 Error "field compared with a field";
    RP0307 307 Error "constant required";
    RP0308 308 Error "join keys of different types";
    RP0309 309 Error "null used as a value";
    RP0401 401 Error "unknown function";
    RP0402 402 Error "wrong number of arguments";
    RP0403 403 Error "argument of the wrong type";
    RP0404 404 Error "constant call that fails";
    RP0405 405 Error "function without a case-insensitive form";
    RP0406 406 Error "function or column out of place";
    RP0501 501 Error "clause that can never match";
    RP0502 502 Warning "clause that always matches";
    RP0503 503 Warning "value longer than the field keeps";
    RP0601 601 Error "query and rule type do not fit";
    RP0602 602 Error "dates out of order";
    RP0603 603 Error "unknown ATT&CK entry";
    RP0604 604 Error "new terms without a usable window";
    RP0605 605 Error "malformed rule id";
    RP0606 606 Error "time expression";
    RP0607 607 Error "filter that cannot be evaluated";
    RP0608 608 Error "exception that cannot be evaluated";
    RP0701 701 Error "rule id used twice";
    RP0702 702 Error "rule name used twice";
    RP0703 703 Error "rulepack.toml";
    RP0704 704 Error "test without a rule";
    RP0705 705 Error "fixture not found";
    RP0706 706 Error "path outside the pack";
    RP0707 707 Error "selection that matches nothing";
    RP0708 708 Error "failed test";
    RP0709 709 Error "stale generated file";
    RP0710 710 Error "generated rule that Kibana would refuse";
    RP0711 711 Error "no pack here";
    RP0712 712 Note "exception list outside the pack";
    RP0713 713 Error "severity that requires a test";
    RP0714 714 Warning "baseline entry without a finding";
    RP0715 715 Error "unreadable baseline";
    RP0716 716 Error "unusable field catalogue";
    RP0717 717 Error "unreadable lock";
    RP0718 718 Error "rule that the lock does not have";
    RP0801 801 Error "field unknown to a stack";
    RP0802 802 Error "rule for no configured stack";
    RP0803 803 Error "function unknown to a stack";
    RP0811 811 Error "rule that OpenSearch runs differently or not at all";
    RP0812 812 Error "field without a place in the shape of the data";
    RP0901 901 Error "deploy target";
    RP0902 902 Error "credentials of a target";
    RP0903 903 Error "Kibana that cannot be deployed to";
    RP0904 904 Warning "rules that run with an API key";
    RP0905 905 Error "overlay without effect";
    RP0906 906 Error "connector";
    RP0907 907 Error "rule that was not written";
    RP0908 908 Error "rule that reads back different";
    RP0909 909 Error "more to delete than allowed";
    RP0910 910 Warning "privileges of a target";
    RP0911 911 Error "exception list of a target";
    RP0912 912 Error "exception list that was not written";
    RP0921 921 Error "OpenSearch that cannot be deployed to";
    RP0922 922 Error "index that does not fit a monitor";
    RP1001 1001 Warning "value without a field";
    RP1002 1002 Warning "question mark in a KQL value";
    RP1003 1003 Warning "line break inside a value";
    RP1004 1004 Warning "quoted asterisk";
    RP1005 1005 Warning "spaces inside a wildcard value";
    RP1006 1006 Warning "keyword at the edge of a value";
    RP1007 1007 Warning "range on a string field";
    RP1021 1021 Warning "backslash that makes a control character";
    RP1022 1022 Warning "four digits read as a year";
    RP1023 1023 Warning "several words on a text field";
    RP1024 1024 Warning "two bounds on several values";
    RP1031 1031 Warning "clause that the target cannot say";
    RP1101 1101 Warning "sequence longer than the look-back";
    RP1102 1102 Warning "sequence without a maxspan";
    RP1103 1103 Warning "pipe that does not do what it says";
    RP1104 1104 Warning "item that can never match";
    RP1201 1201 Warning "comparison that loses documents with several values";
    RP1202 1202 Note "condition that drops documents without the field";
    RP1203 1203 Warning "operator in a regular expression";
    RP1204 1204 Warning "comment that swallows the limit";
    RP1205 1205 Warning "rows without the id of their document";
    RP1206 1206 Warning "column that is never read";
    RP1207 1207 Warning "first value of a sorted field";
    RP1301 1301 Warning "credential in a rule or fixture";
    RP1302 1302 Warning "account id that may be real";
    RP1401 1401 Warning "exception that has ended or soon will";
    RP1402 1402 Warning "exception without a reason";
    RP1403 1403 Warning "exception that leaves no alert";
    RP1501 1501 Warning "allowance without a finding";
    RP1502 1502 Error "allowance without a reason or a known code";
    RP1601 1601 Warning "risk score outside its severity";
    RP1602 1602 Warning "look-back shorter than the interval";
    RP1603 1603 Note "rule without a timestamp override";
    RP1604 1604 Warning "rule without index patterns";
    RP1605 1605 Warning "tag or field that is there twice";
    RP1606 1606 Warning "tactic with two entries";
    RP1607 1607 Warning "rule of the same logic";
    RP1608 1608 Warning "version in a rule file";
    RP1609 1609 Warning "more alerts than Kibana writes";
    RP1610 1610 Note "rule of Elastic under its own id";
    RP1611 1611 Warning "building block on the schedule of a rule";
    RP1612 1612 Warning "half of a timeline";
    RP1613 1613 Warning "button of a guide out of place";
    RP1614 1614 Warning "integration that gives none of the data";
    RP1615 1615 Warning "convention of the pack";
    RP1616 1616 Warning "deprecation that says too little";
    RP1617 1617 Note "interval that is short for the maxspan";
    RP1618 1618 Warning "alerts grouped by a field that no event has";
    RP1619 1619 Warning "published rule of another type";
    RP1620 1620 Warning "published rule that is gone";
    RP1621 1621 Warning "change without a new date";
    RP9001 9001 Error "not supported yet";
    RP9002 9002 Error "bug in rulepack";
}
