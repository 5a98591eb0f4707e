//! Rule types of the Detection Engine.

use crate::lang::Language;

/// A rule type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuleType {
    /// Events that match a KQL or Lucene query.
    Query,
    /// As `query`, the query being stored in Kibana.
    SavedQuery,
    /// EQL: events or sequences.
    Eql,
    /// Rows of an ES|QL table.
    Esql,
    /// Groups of at least so many events.
    Threshold,
    /// Events that share values with indicators.
    ThreatMatch,
    /// Anomalies of machine learning jobs.
    MachineLearning,
    /// Combinations of values that were not seen before.
    NewTerms,
}

const NAMES: [(RuleType, &str); 8] = [
    (RuleType::Query, "query"),
    (RuleType::SavedQuery, "saved_query"),
    (RuleType::Eql, "eql"),
    (RuleType::Esql, "esql"),
    (RuleType::Threshold, "threshold"),
    (RuleType::ThreatMatch, "threat_match"),
    (RuleType::MachineLearning, "machine_learning"),
    (RuleType::NewTerms, "new_terms"),
];

impl RuleType {
    /// The type of a name as files have it.
    pub fn from_name(name: &str) -> Option<RuleType> {
        NAMES.iter().find(|(_, n)| *n == name).map(|(t, _)| *t)
    }

    /// The name as files have it.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(t, _)| *t == self).map_or("", |(_, n)| n)
    }

    /// The language of a query whose file names none; `None` for a type without a query.
    pub fn default_language(self) -> Option<Language> {
        match self {
            RuleType::Eql => Some(Language::Eql),
            RuleType::Esql => Some(Language::Esql),
            RuleType::MachineLearning => None,
            _ => Some(Language::Kql),
        }
    }

    /// Why rules of this type cannot be run yet.
    pub fn unsupported(self) -> Option<&'static str> {
        match self {
            RuleType::Query | RuleType::Eql | RuleType::Esql | RuleType::NewTerms | RuleType::Threshold => {
                None
            }
            RuleType::SavedQuery => Some("saved query rules are not supported yet"),
            RuleType::ThreatMatch => Some("indicator match rules are not supported yet"),
            RuleType::MachineLearning => Some("machine learning rules are not supported yet"),
        }
    }
}
