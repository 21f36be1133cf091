//! A text that may hold log formats, as tokens, and which of them belong together.

use crate::catalogue::{Catalogue, normalised};
use crate::spelling::cdk::{Cdk, cdk};
use crate::spelling::token::{Kind, Side, Token, tokens};

/// A text, its tokens, and which of them belong together.
pub(super) struct Document<'a> {
    pub(super) text: &'a str,
    pub(super) tokens: Vec<Token<'a>>,
    /// Of each bracket and quote the one that closes or opens it.
    pub(super) partner: Vec<Option<usize>>,
    /// Of each token the innermost bracket around it.
    pub(super) parent: Vec<Option<usize>>,
    /// Where lines begin.
    lines: Vec<usize>,
}

impl<'a> Document<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let tokens = tokens(text);
        let mut partner = vec![None; tokens.len()];
        let mut parent = vec![None; tokens.len()];
        let mut open: Vec<usize> = Vec::new();
        let mut string = None;
        for (i, token) in tokens.iter().enumerate() {
            parent[i] = open.last().copied();
            match token.kind {
                Kind::Open(_) => open.push(i),
                Kind::Close(close) => {
                    let closes = |o: &usize| {
                        matches!(
                            (tokens[*o].kind, close),
                            (Kind::Open('('), ')')
                                | (Kind::Open('['), ']')
                                | (Kind::Open('{'), '}')
                                | (Kind::Open('<'), '<')
                        )
                    };
                    // One that closes nothing is passed over; those that nothing closes are left open.
                    if let Some(n) = open.iter().rposition(closes) {
                        partner[open[n]] = Some(i);
                        partner[i] = Some(open[n]);
                        open.truncate(n);
                        parent[i] = open.last().copied();
                    }
                }
                Kind::Quote(Side::Open) => string = Some(i),
                Kind::Quote(Side::Close) => {
                    if let Some(first) = string.take() {
                        partner[first] = Some(i);
                        partner[i] = Some(first);
                    }
                }
                _ => {}
            }
        }
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(n, _)| n + 1)).collect();
        Self { text, tokens, partner, parent, lines }
    }

    pub(super) fn kind(&self, i: usize) -> Option<Kind<'a>> {
        self.tokens.get(i).map(|t| t.kind)
    }

    /// Bytes between the line's beginning and token `i`.
    pub(super) fn column(&self, i: usize) -> usize {
        self.tokens[i].at - self.lines[self.line(i) - 1]
    }

    /// The number of the line that token `i` stands in.
    pub(super) fn line(&self, i: usize) -> usize {
        self.lines.partition_point(|begin| *begin <= self.tokens[i].at)
    }

    /// Whether token `i` is the first of its line.
    pub(super) fn begins_line(&self, i: usize) -> bool {
        i == 0 || self.text[self.tokens[i - 1].end()..self.tokens[i].at].contains('\n')
    }

    /// The token behind the `:` or `=` of a key at token `i`, which may be quoted.
    pub(super) fn behind_key(&self, i: usize) -> Option<usize> {
        let Some(Kind::Word(_)) = self.kind(i) else { return None };
        let assign = if matches!(self.kind(i + 1), Some(Kind::Quote(_))) { i + 2 } else { i + 1 };
        (self.kind(assign) == Some(Kind::Assign)).then_some(assign + 1)
    }

    /// Whether token `i` is a known field as infrastructure code has it.
    pub(super) fn is_field(&self, i: usize, catalogue: &Catalogue) -> bool {
        match self.tokens[i].kind {
            Kind::Field(name) | Kind::Unclosed(name) => catalogue.field(&normalised(name)).is_some(),
            Kind::Word(word) => matches!(cdk(word, catalogue), Some(Cdk::Fields(_))),
            _ => false,
        }
    }
}
