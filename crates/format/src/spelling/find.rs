//! Log formats in whole files: templates, programs, and what `aws ec2 describe-flow-logs` prints.
//!
//! Pieces of the text are chosen by their surroundings, and the grammar judges each as if it were given alone. What stands behind
//! a key such as `log_format` must be a format if it holds a known field; elsewhere a string, a list or a run of fields is one
//! if it has several.

use crate::catalogue::{Catalogue, normalised};
use crate::header::first_header;
use crate::log_format::{FormatError, LogFormat};
use crate::spelling::calls::{METHODS, TAGS, is_block_mark, is_format_key};
use crate::spelling::document::Document;
use crate::spelling::found::FoundFormat;
use crate::spelling::given::{given_names, meant, readable};
use crate::spelling::grammar::{Named, names_of};
use crate::spelling::list::listed;
use crate::spelling::owner::{other_names, owner};
use crate::spelling::token::{Kind, Side};

/// Fewest fields of a format that no key announces: shells and templates have pairs of variables too.
const UNANNOUNCED_FIELDS_MIN: usize = 3;

/// Brackets around a field that are looked at, from the innermost; a format's own are few.
const BRACKETS_MAX: usize = 6;

/// All log formats in `text`, in order; of a raw log the one that its header line declares.
///
/// # Errors
/// [`FormatError`] where a format is announced and has a mistake.
pub fn find_formats(text: &str, catalogue: &Catalogue) -> Result<Vec<FoundFormat>, FormatError> {
    let text = &*readable(text);
    let first = text.trim_start_matches(['\u{feff}', '\r', '\n', ' ']);
    // In code a line behind `#` is a comment, whatever it says, and a format may go on in the next line.
    let is_code = first.lines().next().is_some_and(|line| line.starts_with('#') || line.contains('$'));
    if let Some(header) = first_header(first.as_bytes(), catalogue).filter(|_| !is_code) {
        let line = line_of(text, text.len() - first.len());
        return Ok(vec![FoundFormat::new(header.format, line, None)]);
    }
    if let Some(found) = listed(text, catalogue) {
        return Ok(found);
    }
    let document = Document::new(text);
    let mut pieces = document.pieces(catalogue)?;
    // A file that is nothing but a format.
    if pieces.is_empty()
        && let Ok(names) = given_names(text, catalogue)
        && let Some(first) = names.first()
        && (names.iter().any(|n| n.is_marked) || known(&names, catalogue) * 2 >= names.len())
    {
        let line = line_of(text, first.at);
        return Ok(vec![FoundFormat::new(LogFormat::of_names(text, &names, catalogue)?, line, None)]);
    }
    // An example that is commented out, where there is no other.
    if pieces.is_empty() {
        let code = uncommented(text);
        let document = Document::new(&code);
        pieces = document.pieces(catalogue).unwrap_or_default();
        pieces.retain(|p| p.is_announced);
    }
    Ok(pieces.into_iter().map(|p| p.found).collect())
}

/// The formats of a text that was given as one but is a document, where every field in it belongs to a format that a key
/// announces, or to the only one; `None` where some would be left out.
pub(crate) fn announced(text: &str, catalogue: &Catalogue) -> Option<Result<Vec<FoundFormat>, FormatError>> {
    let document = Document::new(text);
    let pieces = match document.pieces(catalogue) {
        Ok(pieces) => pieces,
        Err(e) => return Some(Err(e)),
    };
    let is_in_piece = |i: usize| pieces.iter().any(|p| (p.first..p.end).contains(&i));
    let all_covered = (0..document.tokens.len()).all(|i| !document.is_field(i, catalogue) || is_in_piece(i));
    let ends_well = |p: &Piece| match document.tokens.get(p.end) {
        None => true,
        Some(next) => {
            // A command's next option may follow.
            matches!(next.kind, Kind::Word(word) if word.len() > 2 && (word.starts_with('-') || word.starts_with("</")))
                || matches!(next.kind, Kind::Close(_) | Kind::Comma | Kind::Semicolon)
                || text[..next.at]
                    .rsplit('\n')
                    .next()
                    .is_some_and(|l| l.trim().is_empty() || l.trim() == "\"")
        }
    };
    // The only one of a document that has no other field, not even one that nobody knows: the value of a parameter, or what a console shows.
    let is_any_field = |i: usize| matches!(document.tokens[i].kind, Kind::Field(_) | Kind::Unclosed(_));
    let stands_alone =
        |p: &Piece| !text[..document.tokens[p.first].at].ends_with(|c: char| c.is_ascii_alphanumeric());
    let is_only = matches!(pieces.as_slice(), [only] if stands_alone(only))
        && (0..document.tokens.len()).all(|i| !is_any_field(i) || is_in_piece(i));
    let is_whole = !pieces.is_empty()
        && all_covered
        && pieces.iter().all(|p| (p.is_announced || is_only) && ends_well(p));
    is_whole.then(|| Ok(pieces.into_iter().map(|p| p.found).collect()))
}

/// `text` without the marks of comments at the beginning of lines.
fn uncommented(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let shown = line.trim_start();
        let mark =
            if shown.starts_with("//") { 2 } else { shown.len() - shown.trim_start_matches('#').len() };
        code.push_str(&line[..line.len() - shown.len()]);
        code.extend(std::iter::repeat_n(' ', mark));
        code.push_str(&shown[mark..]);
    }
    code
}

/// The number of the line that byte `at` of `text` stands in.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1
}

fn known(names: &[Named<'_>], catalogue: &Catalogue) -> usize {
    names.iter().filter(|n| catalogue.field(&normalised(&n.name)).is_some()).count()
}

/// A format and the tokens that it was read from.
struct Piece {
    found: FoundFormat,
    first: usize,
    end: usize,
    is_announced: bool,
}

impl Document<'_> {
    fn pieces(&self, catalogue: &Catalogue) -> Result<Vec<Piece>, FormatError> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut covered = vec![false; self.tokens.len()];
        for i in 0..self.tokens.len() {
            if covered[i] {
                continue;
            }
            if let Some((first, end)) = self.announced_value(i)
                && let Some(format) = self.announced_format(first, end, catalogue)?
            {
                covered[first..end].fill(true);
                pieces.push(self.piece(format, i, first, end, true));
            } else if let Some((first, end, format)) = self.plain_format(i, catalogue) {
                covered[first..end].fill(true);
                pieces.push(self.piece(format, i, first, end, true));
            }
        }
        // Brackets that are no format, so that each is read once.
        let mut refused = vec![false; self.tokens.len()];
        for i in 0..self.tokens.len() {
            if covered[i] || !self.is_field(i, catalogue) {
                continue;
            }
            if let Some((first, end, format)) = self.unannounced(i, &mut refused, catalogue) {
                covered[first..end].fill(true);
                pieces.push(self.piece(format, first, first, end, false));
            }
        }
        pieces.sort_by_key(|p| p.first);
        Ok(pieces)
    }

    fn piece(&self, format: LogFormat, key: usize, first: usize, end: usize, is_announced: bool) -> Piece {
        let mut found = FoundFormat::new(format, self.line(key), owner(self, key));
        found.other_names = other_names(self, key);
        Piece { found, first, end, is_announced }
    }

    /// The tokens of the value that a key at token `i` announces as a log format.
    fn announced_value(&self, i: usize) -> Option<(usize, usize)> {
        let Some(Kind::Word(word)) = self.kind(i) else { return None };
        if !is_format_key(word) {
            return None;
        }
        let first = match (self.behind_key(i), self.kind(i + 1)) {
            (Some(first), _) => first,
            // `--log-format '…'`, PowerShell's `-LogFormat '…'`, and Java's `.logFormat(List.of(…))`.
            (None, Some(_)) if word.starts_with('-') => i + 1,
            (None, Some(Kind::Open('('))) if !matches!(word.rsplit('.').next(), Some("LogFormat")) => i + 1,
            _ => return None,
        };
        let end = self.value_end(first, self.column(i));
        (first < end).then_some((first, end))
    }

    /// A list of bare names behind the key `format`, which announces other things too: filebeat's `format: version srcaddr …`.
    fn plain_format(&self, i: usize, catalogue: &Catalogue) -> Option<(usize, usize, LogFormat)> {
        let first = self.behind_key(i).filter(|_| self.kind(i) == Some(Kind::Word("format")))?;
        let end = self.value_end(first, self.column(i));
        let names = meant(names_of(self.text, &self.tokens[first..end], catalogue).ok()?, catalogue);
        let is_format = names.len() >= UNANNOUNCED_FIELDS_MIN && known(&names, catalogue) == names.len();
        let format =
            if is_format { LogFormat::of_names(self.text, &names, catalogue).ok()? } else { return None };
        Some((first, end, format))
    }

    /// What some tokens behind a key hold, if it is a format and not a reference to one.
    fn announced_format(
        &self,
        first: usize,
        end: usize,
        catalogue: &Catalogue,
    ) -> Result<Option<LogFormat>, FormatError> {
        match names_of(self.text, &self.tokens[first..end], catalogue) {
            Ok(names) => {
                let names = meant(names, catalogue);
                let known = known(&names, catalogue);
                let is_format = known > 0 && (names.iter().any(|n| n.is_marked) || known == names.len());
                is_format.then(|| LogFormat::of_names(self.text, &names, catalogue)).transpose()
            }
            Err(e) if (first..end).any(|i| self.is_field(i, catalogue)) => Err(e),
            Err(_) => Ok(None),
        }
    }

    /// Behind the last token of the value that begins at token `i`, of a key in column `column`.
    fn value_end(&self, mut i: usize, mut column: usize) -> usize {
        loop {
            let next = self.kind(i + 1);
            i = match self.kind(i) {
                None => return self.tokens.len(),
                Some(Kind::Word(word)) if is_block_mark(word) || (word == "-" && self.begins_line(i)) => {
                    return self.block_end(i, column);
                }
                Some(Kind::Word(word)) if TAGS.contains(&word) || word == "new" || word == "&" => {
                    i += 1;
                    continue;
                }
                Some(Kind::Word(word)) if word.contains("Fn::") && self.behind_key(i).is_some() => {
                    column = self.column(i);
                    i = self.behind_key(i).unwrap_or(i + 1);
                    continue;
                }
                Some(Kind::Word(_)) if next == Some(Kind::Open('(')) => match self.partner[i + 1] {
                    Some(close) => close + 1,
                    None => return self.line_end(i, column),
                },
                // `new LogFormat[] { … }`, `[]awsec2.LogFormat{ … }`
                Some(Kind::Word(_)) if matches!(next, Some(Kind::Open(_))) => {
                    i += 1;
                    continue;
                }
                Some(Kind::Open(_) | Kind::Quote(Side::Open)) => match self.partner[i] {
                    Some(close) if close == i + 1 && matches!(self.kind(i), Some(Kind::Open('['))) => {
                        i += 2;
                        continue;
                    }
                    Some(close) => close + 1,
                    None => return self.line_end(i, column),
                },
                Some(_) => return self.line_end(i, column),
            };
            i = match (self.kind(i), self.kind(i + 1)) {
                // Not Terraform's plan, which has a `+` before the next line's key.
                (Some(Kind::Word("+")), _) if self.behind_key(i + 1).is_none() => i + 1,
                (Some(Kind::Word(method)), Some(Kind::Open('(')))
                    if method == ".join" || METHODS.contains(&method) =>
                {
                    return self.partner[i + 1].map_or(i, |close| close + 1);
                }
                _ => return i,
            };
        }
    }

    /// The lines of a YAML block behind token `i`, which are indented more than its key; items of a list may stand below it.
    fn block_end(&self, i: usize, column: usize) -> usize {
        let is_list = self.kind(i) == Some(Kind::Word("-"));
        (i + 1..self.tokens.len())
            .find(|n| {
                let at = self.column(*n);
                let is_item = is_list && at == column && self.kind(*n) == Some(Kind::Word("-"));
                self.begins_line(*n) && at <= column && !is_item
            })
            .unwrap_or(self.tokens.len())
    }

    /// The rest of the line, and lines that go on with fields, indented more than the key.
    fn line_end(&self, i: usize, column: usize) -> usize {
        let goes_on = |n: usize| {
            matches!(self.kind(n), Some(Kind::Field(_) | Kind::Unclosed(_))) && self.column(n) > column
        };
        (i..self.tokens.len())
            .find(|n| {
                matches!(self.kind(*n), Some(Kind::Comma | Kind::Semicolon | Kind::Close(_)))
                    || (*n > i && self.begins_line(*n) && !goes_on(*n))
            })
            .unwrap_or(self.tokens.len())
    }

    /// The largest piece around the field at token `i` that is a format: brackets, else its string, else a run of fields.
    fn unannounced(
        &self,
        i: usize,
        refused: &mut [bool],
        catalogue: &Catalogue,
    ) -> Option<(usize, usize, LogFormat)> {
        let judge = |first: usize, end: usize| {
            let names = meant(names_of(self.text, &self.tokens[first..end], catalogue).ok()?, catalogue);
            let known = known(&names, catalogue);
            let is_code = (first..end).any(|i| matches!(self.tokens[i].kind, Kind::Word(_)));
            let min = if is_code { 2 } else { UNANNOUNCED_FIELDS_MIN };
            let plain_are_known =
                names.iter().all(|n| n.is_marked || catalogue.field(&normalised(&n.name)).is_some());
            // A list of formats names fields twice; one format hardly does.
            let is_once = (1..names.len()).all(|i| names[..i].iter().all(|n| n.name != names[i].name));
            let is_format = is_once && names.len() >= min && known * 2 >= names.len() && plain_are_known;
            is_format.then(|| LogFormat::of_names(self.text, &names, catalogue).ok()).flatten()
        };
        let around = std::iter::successors(self.parent[i], |open| self.parent[*open]);
        let brackets: Vec<usize> = around.take(BRACKETS_MAX).collect();
        for open in brackets.into_iter().rev() {
            let Some(close) = self.partner[open].filter(|_| !refused[open]) else { continue };
            match judge(open, close + 1) {
                Some(format) => return Some((open, close + 1, format)),
                None => refused[open] = true,
            }
        }
        let quote =
            (0..i).rev().take(2 * crate::FIELDS_MAX).find(|n| matches!(self.tokens[*n].kind, Kind::Quote(_)));
        if let Some(quote) = quote
            && self.partner[quote].is_some_and(|close| close > i)
        {
            let end = self.value_end(quote, 0);
            return judge(quote, end).map(|format| (quote, end, format));
        }
        let end = (i..self.tokens.len()).find(|n| !matches!(self.tokens[*n].kind, Kind::Field(_)));
        let end = end.unwrap_or(self.tokens.len());
        judge(i, end).map(|format| (i, end, format))
    }
}
