//! Setup instructions inside an investigation guide. Kibana shows them in a place of their own, so a
//! `## Setup` section of the note becomes the rule's `setup`, as its plain text.

use std::fmt::Write;

/// The note without its setup section, and the text of that section; `None` without such a heading.
///
/// The text is that of the blocks up to the next heading of level two or deeper: paragraphs keep their
/// lines, code keeps its backticks, and of everything else only the text remains. A section whose
/// text differs from its source (lists, emphasis) therefore stays in the note as well.
pub(super) fn split(note: &str) -> Option<(String, String)> {
    let mut blocks =
        Blocks::new(note).skip_while(|b| !matches!(b, Block::Heading(2, t) if t.contains("Setup")));
    blocks.next()?;
    let mut setup = String::new();
    for block in blocks {
        match block {
            Block::Heading(level, _) if level >= 2 => break,
            Block::Heading(_, text) => setup.push_str(&inline(&text)),
            Block::Blank => setup.push('\n'),
            Block::Paragraph(text) => {
                let _ = writeln!(setup, "{}", inline(&text));
            }
            Block::Item(text) => setup.push_str(&inline(&text)),
            Block::Code(text) => setup.push_str(&text),
        }
    }
    let setup = setup.trim().to_owned();
    let mut rest = note.replace("## Setup\n\n", "");
    if !setup.is_empty() {
        rest = rest.replace(&setup, "");
    }
    Some((rest.trim().to_owned(), setup))
}

/// A block of Markdown, as far as a setup section can have them.
enum Block {
    /// Level and text.
    Heading(usize, String),
    Blank,
    Paragraph(String),
    /// An entry of a list, marker removed.
    Item(String),
    /// The content of a code block.
    Code(String),
}

struct Blocks<'a> {
    lines: std::iter::Peekable<std::str::Lines<'a>>,
}

impl<'a> Blocks<'a> {
    fn new(note: &'a str) -> Self {
        Blocks { lines: note.lines().peekable() }
    }

    /// The following lines that continue a paragraph.
    fn lazy(&mut self, first: &str) -> String {
        let mut text = first.to_owned();
        while let Some(next) = self.lines.next_if(|l| continues(l)) {
            text.push('\n');
            text.push_str(next.trim());
        }
        text
    }
}

impl Iterator for Blocks<'_> {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        let line = self.lines.next()?;
        if line.trim().is_empty() {
            while self.lines.next_if(|l| l.trim().is_empty()).is_some() {}
            return Some(Block::Blank);
        }
        if let Some((level, text)) = heading(line) {
            return Some(Block::Heading(level, text.to_owned()));
        }
        if let Some(fence) = fence(line) {
            let mut text = String::new();
            for line in self.lines.by_ref().take_while(|l| !l.trim_start().starts_with(fence)) {
                text.push_str(line);
                text.push('\n');
            }
            return Some(Block::Code(text));
        }
        if let Some(text) = item(line) {
            let text = self.lazy(text.trim());
            // the blank lines between entries belong to the list
            let mut ahead = self.lines.clone();
            while ahead.next_if(|l| l.trim().is_empty()).is_some() {}
            if ahead.peek().is_some_and(|l| item(l).is_some()) {
                self.lines = ahead;
            }
            return Some(Block::Item(text));
        }
        Some(Block::Paragraph(self.lazy(line.trim())))
    }
}

fn continues(line: &str) -> bool {
    !line.trim().is_empty() && heading(line).is_none() && fence(line).is_none() && item(line).is_none()
}

fn heading(line: &str) -> Option<(usize, &str)> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    ((1..=6).contains(&level) && (text.is_empty() || text.starts_with([' ', '\t'])))
        .then(|| (level, text.trim().trim_end_matches('#').trim_end()))
}

fn fence(line: &str) -> Option<&'static str> {
    ["```", "~~~"].into_iter().find(|f| line.trim_start().starts_with(f))
}

/// The text of a list entry.
fn item(line: &str) -> Option<&str> {
    let line = line.trim_start();
    if let Some(text) = line.strip_prefix(['-', '*', '+']) {
        return text.starts_with([' ', '\t']).then_some(text);
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let text = line.get(digits..)?.strip_prefix(['.', ')'])?;
    ((1..=9).contains(&digits) && text.starts_with([' ', '\t'])).then_some(text)
}

/// The text of inline Markdown: emphasis and links lose their marks, code keeps single backticks.
fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '`' {
            let ticks = rest.bytes().take_while(|b| *b == b'`').count();
            let body = rest.get(ticks..).unwrap_or("");
            if let Some(end) = rest.get(..ticks).and_then(|mark| body.find(mark)) {
                out.push('`');
                out.push_str(body.get(..end).unwrap_or(""));
                out.push('`');
                rest = body.get(end + ticks..).unwrap_or("");
                continue;
            }
        }
        let strong = ["**", "__"].iter().find_map(|mark| {
            let body = rest.strip_prefix(mark)?;
            let end = body.find(mark).filter(|e| *e > 0)?;
            Some((body.get(..end)?, body.get(end + 2..)?))
        });
        if let Some((body, after)) = strong {
            out.push_str(&inline(body));
            rest = after;
            continue;
        }
        if c == '['
            && let Some((label, after)) = link(rest)
        {
            out.push_str(&inline(label));
            rest = after;
            continue;
        }
        out.push(c);
        rest = rest.get(c.len_utf8()..).unwrap_or("");
    }
    out
}

/// The label of a link, and what comes behind the link.
fn link(text: &str) -> Option<(&str, &str)> {
    let (label, after) = text.strip_prefix('[')?.split_once("](")?;
    let (_, after) = after.split_once(')')?;
    (!label.contains(['[', ']', '\n'])).then_some((label, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_plain_section_moves_out_of_the_note() {
        let (note, setup) = split("# Guide\n\nRead.\n\n## Setup\n\nNeeds `x` events.\n").unwrap();
        assert_eq!(note, "# Guide\n\nRead.");
        assert_eq!(setup, "Needs `x` events.");
    }

    #[test]
    fn a_section_with_a_list_becomes_text_and_stays_in_the_note() {
        let (note, setup) = split("## Setup\n\nTurn on:\n\n- **One** thing\n- `two`\n\nDone.").unwrap();
        assert_eq!(setup, "Turn on:\n\nOne thing`two`\nDone.");
        assert_eq!(note, "Turn on:\n\n- **One** thing\n- `two`\n\nDone.");
    }

    #[test]
    fn a_note_without_the_heading_stays() {
        assert!(split("# Setup\n\nnothing").is_none());
        assert!(split("```\n## Setup\n```\n").is_none());
    }

    proptest! {
        #[test]
        fn no_note_makes_it_panic(note in "(## Setup\n\n|`|\\*\\*|\\[|\\]\\(|\\)|- |1\\. |a|é|\n|#){0,30}") {
            let _ = split(&note);
        }
    }
}
