//! The aggregates: their signatures. The plan's executor holds their states, because states are merged
//! across files.

use super::{Accepts, ColumnFunction, ColumnParam, Form, ROW, Returns, constant, optional, param};
use crate::schema::Version;
use crate::value::ColumnType;

/// What is gathered over the rows of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the functions")]
pub enum Aggregate {
    Count,
    CountDistinct,
    Sum,
    Avg,
    Min,
    Max,
    Median,
    Percentile,
    MedianAbsoluteDeviation,
    StdDev,
    Variance,
    WeightedAvg,
    Values,
    Top,
    First,
    Last,
    Present,
    Absent,
}

const ONE: &[ColumnParam] = &[param("field", Accepts::Ordered)];
const NUMBER: &[ColumnParam] = &[param("number", Accepts::Number)];

fn sum_type(types: &[ColumnType]) -> ColumnType {
    match types.first() {
        Some(ColumnType::Double) => ColumnType::Double,
        _ => ColumnType::Long,
    }
}

/// The rows.
pub(super) static FUNCTIONS: &[ColumnFunction] = &[
    ColumnFunction {
        name: "count",
        params: &[optional("field", Accepts::Any)],
        returns: Returns::Is(ColumnType::Long),
        summary: "the number of values of `field`; of rows for `COUNT(*)` and `COUNT()`",
        form: Form::Aggregate(Aggregate::Count),
        ..ROW
    },
    ColumnFunction {
        name: "count_distinct",
        params: &[
            param("field", Accepts::Ordered),
            ColumnParam { name: "precision", accepts: Accepts::Whole, optional: true, constant: true },
        ],
        returns: Returns::Is(ColumnType::Long),
        summary: "the number of different values; Elasticsearch approximates it above `precision`, here it is exact",
        form: Form::Aggregate(Aggregate::CountDistinct),
        ..ROW
    },
    ColumnFunction {
        name: "sum",
        params: NUMBER,
        returns: Returns::By(sum_type),
        summary: "the sum of all values",
        form: Form::Aggregate(Aggregate::Sum),
        ..ROW
    },
    ColumnFunction {
        name: "avg",
        params: NUMBER,
        returns: Returns::Is(ColumnType::Double),
        summary: "the mean of all values",
        form: Form::Aggregate(Aggregate::Avg),
        ..ROW
    },
    ColumnFunction {
        name: "min",
        params: ONE,
        returns: Returns::Same(0),
        summary: "the least value",
        form: Form::Aggregate(Aggregate::Min),
        ..ROW
    },
    ColumnFunction {
        name: "max",
        params: ONE,
        returns: Returns::Same(0),
        summary: "the greatest value",
        form: Form::Aggregate(Aggregate::Max),
        ..ROW
    },
    ColumnFunction {
        name: "median",
        params: NUMBER,
        returns: Returns::Is(ColumnType::Double),
        summary: "the median of all values, exact here",
        form: Form::Aggregate(Aggregate::Median),
        ..ROW
    },
    ColumnFunction {
        name: "percentile",
        params: &[param("number", Accepts::Number), constant("percentile", Accepts::Number)],
        returns: Returns::Is(ColumnType::Double),
        summary: "the value at a percentile, interpolated",
        form: Form::Aggregate(Aggregate::Percentile),
        ..ROW
    },
    ColumnFunction {
        name: "median_absolute_deviation",
        params: NUMBER,
        returns: Returns::Is(ColumnType::Double),
        summary: "the median distance from the median",
        form: Form::Aggregate(Aggregate::MedianAbsoluteDeviation),
        ..ROW
    },
    ColumnFunction {
        name: "std_dev",
        params: NUMBER,
        returns: Returns::Is(ColumnType::Double),
        summary: "the standard deviation of the population",
        form: Form::Aggregate(Aggregate::StdDev),
        ..ROW
    },
    ColumnFunction {
        name: "variance",
        since: Version(9, 2, 0),
        params: NUMBER,
        returns: Returns::Is(ColumnType::Double),
        summary: "the variance of the population",
        form: Form::Aggregate(Aggregate::Variance),
        ..ROW
    },
    ColumnFunction {
        name: "weighted_avg",
        params: &[param("number", Accepts::Number), param("weight", Accepts::Number)],
        returns: Returns::Is(ColumnType::Double),
        summary: "the mean of all values, each with its weight",
        form: Form::Aggregate(Aggregate::WeightedAvg),
        ..ROW
    },
    ColumnFunction {
        name: "values",
        params: ONE,
        returns: Returns::Same(0),
        summary: "the different values, here in the order in which they were seen",
        form: Form::Aggregate(Aggregate::Values),
        ..ROW
    },
    ColumnFunction {
        name: "top",
        params: &[
            param("field", Accepts::Ordered),
            constant("limit", Accepts::Whole),
            constant("order", Accepts::Text),
            optional("outputField", Accepts::Ordered),
        ],
        returns: Returns::By(|types| {
            types.get(3).or(types.first()).map_or(ColumnType::Null, |t| t.computed())
        }),
        summary: "the first values in an order, with duplicates",
        form: Form::Aggregate(Aggregate::Top),
        ..ROW
    },
    ColumnFunction {
        name: "first",
        since: Version(9, 3, 0),
        params: &[param("value", Accepts::Ordered), param("sort", Accepts::Ordered)],
        returns: Returns::Same(0),
        summary: "the value of the row with the least sort key",
        form: Form::Aggregate(Aggregate::First),
        ..ROW
    },
    ColumnFunction {
        name: "last",
        since: Version(9, 3, 0),
        params: &[param("value", Accepts::Ordered), param("sort", Accepts::Ordered)],
        returns: Returns::Same(0),
        summary: "the value of the row with the greatest sort key",
        form: Form::Aggregate(Aggregate::Last),
        ..ROW
    },
    ColumnFunction {
        name: "present",
        since: Version(9, 2, 0),
        params: &[param("field", Accepts::Any)],
        returns: Returns::Is(ColumnType::Boolean),
        summary: "whether there is a value",
        form: Form::Aggregate(Aggregate::Present),
        ..ROW
    },
    ColumnFunction {
        name: "absent",
        since: Version(9, 2, 0),
        params: &[param("field", Accepts::Any)],
        returns: Returns::Is(ColumnType::Boolean),
        summary: "whether there is no value",
        form: Form::Aggregate(Aggregate::Absent),
        ..ROW
    },
    ColumnFunction {
        name: "bucket",
        aliases: &["bin"],
        params: &[
            param("field", Accepts::DateOrNumber),
            constant("size", Accepts::Any),
            ColumnParam { name: "from", accepts: Accepts::Any, optional: true, constant: true },
            ColumnParam { name: "to", accepts: Accepts::Any, optional: true, constant: true },
        ],
        returns: Returns::By(|types| match types.first() {
            Some(t) if t.is_date() => *t,
            _ => ColumnType::Double,
        }),
        summary: "the bucket that a date or number falls into; only in `STATS … BY`",
        form: Form::Bucket,
        ..ROW
    },
];
