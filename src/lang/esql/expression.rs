//! Expressions, by precedence.

use super::ast::{At, CompareOp, Expr, ExprKind, Literal, MapEntry, MapValue, Name};
use super::lexer::{Mode, RESERVED, Token};
use super::parser::{Parse, Parser};
use crate::diag::{Code, Diagnostic};
use crate::plan::Arithmetic;
use crate::source::Span;

impl Parser<'_> {
    pub(super) fn boolean(&mut self) -> Parse<Expr> {
        self.mode = Mode::Expression;
        self.deeper()?;
        let first = self.conjunction()?;
        let mut parts = vec![first];
        while self.eat_word("or")? {
            parts.push(self.conjunction()?);
        }
        self.depth -= 1;
        Ok(joined(parts, ExprKind::Or))
    }

    fn conjunction(&mut self) -> Parse<Expr> {
        let mut parts = vec![self.negation()?];
        while self.eat_word("and")? {
            parts.push(self.negation()?);
        }
        Ok(joined(parts, ExprKind::And))
    }

    fn negation(&mut self) -> Parse<Expr> {
        if !self.is_word("not")? {
            return self.condition();
        }
        self.deeper()?;
        let from = self.next()?.1.0.start;
        let inner = self.negation()?;
        self.depth -= 1;
        Ok(Expr { kind: ExprKind::Not(Box::new(inner)), at: self.from(from) })
    }

    /// A value with what is asked of it.
    fn condition(&mut self) -> Parse<Expr> {
        let from = self.here().start;
        let value = self.value()?;
        let negated = self.is_word("not")?;
        if negated {
            self.next()?;
        }
        if self.eat_word("in")? {
            self.expect("(")?;
            let mut list = vec![self.value()?];
            while self.eat(",")? {
                list.push(self.value()?);
            }
            self.expect(")")?;
            return Ok(Expr { kind: ExprKind::In(negated, Box::new(value), list), at: self.from(from) });
        }
        let regex = self.is_word("rlike")?;
        if regex || self.is_word("like")? {
            self.next()?;
            let list = self.eat("(")?;
            let mut patterns = vec![self.text("a pattern in quotes")?];
            if list {
                while self.eat(",")? {
                    patterns.push(self.text("a pattern in quotes")?);
                }
                self.expect(")")?;
            }
            let kind = ExprKind::Like { negated, regex, value: Box::new(value), patterns, list };
            return Ok(Expr { kind, at: self.from(from) });
        }
        if negated {
            return self.expected("`IN`, `LIKE` or `RLIKE`");
        }
        if self.eat_word("is")? {
            let negated = self.eat_word("not")?;
            if !self.eat_word("null")? {
                return self.expected("`NULL`");
            }
            return Ok(Expr { kind: ExprKind::IsNull(negated, Box::new(value)), at: self.from(from) });
        }
        if self.is_symbol(":")? {
            let is_field = match &value.kind {
                ExprKind::Column(_) => true,
                ExprKind::Cast(inner, _) => matches!(inner.kind, ExprKind::Column(_)),
                _ => false,
            };
            if !is_field {
                return self.expected("a field before `:`");
            }
            self.next()?;
            let literal = self.constant()?;
            return Ok(Expr { kind: ExprKind::Match(Box::new(value), literal), at: self.from(from) });
        }
        Ok(value)
    }

    /// A calculation, or one compared with another.
    fn value(&mut self) -> Parse<Expr> {
        let from = self.here().start;
        let left = self.sum()?;
        let op = match self.peek()? {
            Token::Symbol("==") => CompareOp::Equal,
            Token::Symbol("!=") => CompareOp::NotEqual,
            Token::Symbol("<") => CompareOp::Less,
            Token::Symbol("<=") => CompareOp::LessEqual,
            Token::Symbol(">") => CompareOp::Greater,
            Token::Symbol(">=") => CompareOp::GreaterEqual,
            _ => return Ok(left),
        };
        self.next()?;
        let right = self.sum()?;
        if matches!(self.peek()?, Token::Symbol("==" | "!=" | "<" | "<=" | ">" | ">=")) {
            return self.expected("one comparison only");
        }
        Ok(Expr { kind: ExprKind::Compare(op, Box::new(left), Box::new(right)), at: self.from(from) })
    }

    fn sum(&mut self) -> Parse<Expr> {
        let from = self.here().start;
        let mut left = self.product()?;
        let mut chain = 0;
        loop {
            let op = match self.peek()? {
                Token::Symbol("+") => Arithmetic::Add,
                Token::Symbol("-") => Arithmetic::Subtract,
                _ => break,
            };
            self.next()?;
            // a chain is as deep a tree as it is long
            self.deeper()?;
            chain += 1;
            let right = self.product()?;
            left =
                Expr { kind: ExprKind::Arithmetic(op, Box::new(left), Box::new(right)), at: self.from(from) };
        }
        self.depth -= chain;
        Ok(left)
    }

    fn product(&mut self) -> Parse<Expr> {
        let from = self.here().start;
        let mut left = self.sign()?;
        let mut chain = 0;
        loop {
            let op = match self.peek()? {
                Token::Symbol("*") => Arithmetic::Multiply,
                Token::Symbol("/") => Arithmetic::Divide,
                Token::Symbol("%") => Arithmetic::Modulo,
                _ => break,
            };
            self.next()?;
            self.deeper()?;
            chain += 1;
            let right = self.sign()?;
            left =
                Expr { kind: ExprKind::Arithmetic(op, Box::new(left), Box::new(right)), at: self.from(from) };
        }
        self.depth -= chain;
        Ok(left)
    }

    fn sign(&mut self) -> Parse<Expr> {
        let minus = match self.peek()? {
            Token::Symbol("-") => true,
            Token::Symbol("+") => false,
            _ => return self.primary(),
        };
        self.deeper()?;
        let from = self.next()?.1.0.start;
        let inner = self.sign()?;
        self.depth -= 1;
        Ok(Expr { kind: ExprKind::Sign(minus, Box::new(inner)), at: self.from(from) })
    }

    pub(super) fn primary(&mut self) -> Parse<Expr> {
        self.mode = Mode::Expression;
        let from = self.here().start;
        let mut e = self.atom()?;
        let mut chain = 0;
        while self.eat("::")? {
            self.deeper()?;
            chain += 1;
            let (token, at) = self.next()?;
            let text = match token {
                Token::Word(w) if !reserved(&w) => w,
                Token::Quoted(q) => q,
                other => {
                    self.lexer.seek(at.0.start as usize);
                    return Err(Box::new(
                        Diagnostic::new(Code::RP0101, format!("expected a type, found {}", other.describe()))
                            .at(at.0, ""),
                    ));
                }
            };
            e = Expr { kind: ExprKind::Cast(Box::new(e), Name { text, at }), at: self.from(from) };
        }
        self.depth -= chain;
        Ok(e)
    }

    fn atom(&mut self) -> Parse<Expr> {
        let from = self.here().start;
        match self.peek()? {
            Token::Symbol("(") => {
                self.next()?;
                self.deeper()?;
                let inner = self.boolean()?;
                self.depth -= 1;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Str(_) | Token::Integer(_) | Token::Decimal(_) | Token::Symbol("[") => {
                let literal = self.constant()?;
                Ok(Expr { kind: ExprKind::Literal(literal), at: self.from(from) })
            }
            Token::Param(_) => match self.next()? {
                (Token::Param(p), at) => Ok(Expr { kind: ExprKind::Param(p), at }),
                _ => self.expected("a value"),
            },
            Token::Word(w) if ["true", "false", "null"].contains(&w.to_ascii_lowercase().as_str()) => {
                let literal = self.constant()?;
                Ok(Expr { kind: ExprKind::Literal(literal), at: self.from(from) })
            }
            Token::Word(_) | Token::Quoted(_) => {
                let e = self.column()?;
                if self.is_symbol("(")?
                    && let ExprKind::Column(text) = e.kind
                {
                    return self.call(Name { text, at: e.at });
                }
                Ok(e)
            }
            _ => self.expected("a value"),
        }
    }

    /// A dotted name.
    pub(super) fn column(&mut self) -> Parse<Expr> {
        self.mode = Mode::Expression;
        let from = self.here().start;
        let mut text = String::new();
        let mut first = true;
        loop {
            match self.peek()? {
                // FIRST and LAST are functions since 9.3
                Token::Word(w) if first && is_pick(w) => {
                    let after = self.seen.as_ref().map_or(0, |(_, at, _)| at.0.end as usize);
                    let called = self.text.get(after..).is_some_and(|t| t.trim_start().starts_with('('));
                    if !called {
                        return self.expected("a value");
                    }
                    let (Token::Word(w), _) = self.next()? else { return self.expected("a name") };
                    text.push_str(&w);
                }
                Token::Word(w) if !reserved(w) => {
                    let (Token::Word(w), _) = self.next()? else { return self.expected("a name") };
                    text.push_str(&w);
                }
                Token::Quoted(_) => {
                    let (Token::Quoted(q), _) = self.next()? else { return self.expected("a name") };
                    text.push_str(&q);
                }
                _ => return self.expected("a name"),
            }
            first = false;
            if !self.eat(".")? {
                return Ok(Expr { kind: ExprKind::Column(text), at: self.from(from) });
            }
            text.push('.');
        }
    }

    fn call(&mut self, name: Name) -> Parse<Expr> {
        self.deeper()?;
        let from = name.at.0.start;
        self.expect("(")?;
        let (mut star, mut args, mut options) = (false, Vec::new(), Vec::new());
        if self.is_symbol("*")? {
            self.next()?;
            star = true;
        } else if !self.is_symbol(")")? {
            loop {
                if self.is_symbol("{")? && !args.is_empty() {
                    options = self.map()?;
                    break;
                }
                args.push(self.boolean()?);
                if !self.eat(",")? {
                    break;
                }
            }
        }
        self.expect(")")?;
        self.depth -= 1;
        Ok(Expr { kind: ExprKind::Call { name, star, args, options }, at: self.from(from) })
    }

    pub(super) fn map(&mut self) -> Parse<Vec<MapEntry>> {
        self.deeper()?;
        self.expect("{")?;
        let mut out = Vec::new();
        if !self.is_symbol("}")? {
            loop {
                let key = self.text("a key in quotes")?.text;
                self.expect(":")?;
                let value = if self.is_symbol("{")? {
                    MapValue::Map(self.map()?)
                } else {
                    MapValue::Constant(self.constant()?)
                };
                out.push(MapEntry { key, value });
                if !self.eat(",")? {
                    break;
                }
            }
        }
        self.expect("}")?;
        self.depth -= 1;
        Ok(out)
    }

    /// A constant.
    pub(super) fn constant(&mut self) -> Parse<Literal> {
        self.mode = Mode::Expression;
        match self.peek()? {
            Token::Symbol("[") => {}
            Token::Str(_) => return Ok(Literal::Str(self.text("a string")?.text)),
            Token::Word(w) => {
                let literal = match w.to_ascii_lowercase().as_str() {
                    "null" => Literal::Null,
                    "true" => Literal::Bool(true),
                    "false" => Literal::Bool(false),
                    _ => return self.expected("a constant"),
                };
                self.next()?;
                return Ok(literal);
            }
            _ => return self.numeric(false),
        }
        let start = self.next()?.1.0.start;
        let mut items: Vec<Literal> = Vec::new();
        loop {
            let item = match self.peek()? {
                Token::Str(_) => Literal::Str(self.text("a string")?.text),
                Token::Word(w) if w.eq_ignore_ascii_case("true") || w.eq_ignore_ascii_case("false") => {
                    self.constant()?
                }
                _ => self.numeric(true)?,
            };
            let mixed = items.first().is_some_and(|f| {
                let kind = |l: &Literal| match l {
                    Literal::Str(_) => 0,
                    Literal::Bool(_) => 1,
                    _ => 2,
                };
                kind(f) != kind(&item)
            });
            if mixed {
                return Err(Box::new(
                    Diagnostic::new(Code::RP0101, "the values of an array are all of one kind")
                        .at(self.from(start).0, ""),
                ));
            }
            items.push(item);
            if !self.eat(",")? {
                break;
            }
        }
        self.expect("]")?;
        Ok(Literal::Array(items))
    }

    /// A number, or a span of time outside arrays.
    fn numeric(&mut self, in_array: bool) -> Parse<Literal> {
        let mut sign = "";
        let at = self.here();
        if in_array || self.is_symbol("-")? {
            if self.eat("-")? {
                sign = "-";
            } else {
                self.eat("+")?;
            }
        }
        match self.peek()? {
            Token::Integer(_) => {}
            Token::Decimal(_) => {
                let (Token::Decimal(d), _) = self.next()? else { return self.expected("a number") };
                return Ok(Literal::Decimal(if sign.is_empty() { d } else { -d }));
            }
            Token::Param(_) => {
                let (Token::Param(p), _) = self.next()? else { return self.expected("a constant") };
                return Ok(Literal::Str(p));
            }
            _ => return self.expected("a constant"),
        }
        let (Token::Integer(digits), _) = self.next()? else { return self.expected("a number") };
        let text = format!("{sign}{digits}");
        if !in_array && matches!(self.peek()?, Token::Word(w) if !reserved(w) && !w.starts_with('@')) {
            // `BY`, `WHERE` and the like may follow a number as well; only a unit belongs to it
            let Token::Word(unit) = self.peek()?.clone() else { return self.expected("a unit") };
            let touching = self.here().start;
            if crate::func::column::span_of(1, &unit).is_some() {
                self.next()?;
                let n = text.parse().map_err(|_| {
                    Diagnostic::new(Code::RP0107, format!("`{text} {unit}` is too long a time span"))
                        .at(at, "")
                })?;
                return Ok(Literal::Span(n, unit));
            }
            if !["where", "append_separator"].contains(&unit.to_ascii_lowercase().as_str()) {
                return Err(Box::new(Diagnostic::new(Code::RP0107, format!("`{unit}` is no unit of time"))
                    .at(Span { start: touching, end: touching + unit.len() as u32 }, "")
                    .note("there are milliseconds, seconds, minutes, hours, days, weeks, months, quarters and years")));
            }
        }
        Ok(Literal::Integer(text))
    }
}

fn reserved(word: &str) -> bool {
    RESERVED.iter().any(|r| r.eq_ignore_ascii_case(word))
}

fn is_pick(word: &str) -> bool {
    word.eq_ignore_ascii_case("first") || word.eq_ignore_ascii_case("last")
}

fn joined(mut parts: Vec<Expr>, kind: fn(Vec<Expr>) -> ExprKind) -> Expr {
    if parts.len() == 1
        && let Some(only) = parts.pop()
    {
        return only;
    }
    let span = match (parts.first(), parts.last()) {
        (Some(a), Some(b)) => a.span().to(b.span()),
        _ => Span::default(),
    };
    Expr { kind: kind(parts), at: At(span) }
}
