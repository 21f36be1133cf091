//! Nearest known word to a misspelt one.

/// Largest number of edits at which a word still counts as a misspelling of another.
const EDITS_MAX: usize = 3;

/// Returns the word of `known` nearest to `word`, if it is near enough to be meant.
///
/// Near enough is at most three edits and no more than a third of the word.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|k| (edits(word, k), k))
        .filter(|(n, k)| *n <= EDITS_MAX && *n * 3 <= word.len().max(k.len()))
        .min_by_key(|(n, _)| *n)
        .map(|(_, k)| k)
}

/// Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours, in bytes.
fn edits(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut rows = [vec![0; b.len() + 1], (0..=b.len()).collect::<Vec<_>>(), vec![0; b.len() + 1]];
    for i in 1..=a.len() {
        rows[2][0] = i;
        for j in 1..=b.len() {
            let substitute = rows[1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = substitute.min(rows[1][j] + 1).min(rows[2][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[0][j - 2] + 1);
            }
            rows[2][j] = best;
        }
        rows.rotate_left(1);
    }
    rows[1][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let known = ["srcaddr", "dstaddr", "srcport", "log-status", "end"];
        for (word, expected) in [
            ("srcadr", Some("srcaddr")),
            ("scraddr", Some("srcaddr")),
            ("log-stat", Some("log-status")),
            ("logstatus", Some("log-status")),
            ("start", None),
            ("x", None),
            ("edn", Some("end")),
        ] {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }
}
