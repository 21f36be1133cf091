//! The naive reader: splits strings, allocates at will, and knows nothing of the parser's code. An oracle for tests.

/// Longest line; said again here so that a change of the parser's limit shows.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Longest name of a field, likewise.
const NAME_BYTES_MAX: usize = 255;

/// Fields of 32-bit columns.
const INT32: [&str; 7] =
    ["version", "srcport", "dstport", "protocol", "tcp-flags", "traffic-path", "encryption-status"];

/// Fields of 64-bit columns.
const INT64: [&str; 8] = [
    "packets",
    "bytes",
    "start",
    "end",
    "packets-lost-no-route",
    "packets-lost-blackhole",
    "packets-lost-mtu-exceeded",
    "packets-lost-ttl-expired",
];

/// Words that make a line a header; enough for what tests write.
const OTHERS: [&str; 12] = [
    "srcaddr",
    "dstaddr",
    "log-status",
    "action",
    "account-id",
    "interface-id",
    "vpc-id",
    "subnet-id",
    "instance-id",
    "type",
    "pkt-srcaddr",
    "pkt-dstaddr",
];

/// A whole object, read naively.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Field names and values of each record.
    pub records: Vec<(Vec<String>, Vec<Vec<u8>>)>,
    /// Line number and raw line of each reject.
    pub rejects: Vec<(u64, Vec<u8>)>,
    /// All lines.
    pub lines: u64,
    /// Header lines.
    pub headers: u64,
    /// Blank lines.
    pub blanks: u64,
}

/// Reads `text`; `given` is the format (bare field names) of objects without a header.
pub fn read(text: &[u8], given: Option<&str>) -> Read {
    let mut read = Read::default();
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut names: Option<Vec<String>> = None;
    let mut lines: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
    if lines.last().is_some_and(|l| l.is_empty()) {
        lines.pop();
    }
    let mut is_lost = false;
    for (number, line) in (1..).zip(lines) {
        read.lines += 1;
        let raw = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > LINE_BYTES_MAX {
            read.rejects.push((number, line[..LINE_BYTES_MAX].to_vec()));
            continue;
        }
        let line = bare(inside(bare(raw)));
        if line.iter().all(|b| b" \t\r\0\x1a".contains(b)) {
            read.blanks += 1;
            continue;
        }
        // One word is a header only if it is the object's own; at the front two are, if one of them is in no other text.
        let own = || names.clone().or_else(|| given.map(|g| g.split(' ').map(str::to_owned).collect()));
        let may_be = |h: &Vec<String>| h.len() > 1 && (names.is_some() || is_sure(h));
        let is_own = |h: &Vec<String>| {
            own().is_none_or(|own| *h == own || h.len() > 1 && h.len() == own.len()) || may_be(h)
        };
        if let Some(header) = header(line)
            .or_else(|| amid_marks(line))
            .filter(is_own)
            .filter(|_| names.is_none() || !begins_as_record(line, own().as_deref()))
        {
            read.headers += 1;
            names = Some(header);
            is_lost = false;
            continue;
        }
        let own =
            names.get_or_insert_with(|| given.expect("a format").split(' ').map(str::to_owned).collect());
        let fitting = fits(line, own);
        if is_strange(line) || replaces(line, own) {
            read.headers += 1;
            is_lost = true;
        } else if let Some((first, next)) =
            glued(line, own).or_else(|| cut(line, own)).filter(|_| !fitting || is_cut(line, own))
        {
            let Some(next) = next else {
                read.rejects.push((number, raw.to_vec()));
                is_lost = true;
                continue;
            };
            read.lines += 1;
            read.headers += 1;
            match record(first, own).filter(|_| !is_lost) {
                Some(values) => read.records.push((own.clone(), values)),
                None if fits(first, own) && !is_lost => read.rejects.push((number, raw.to_vec())),
                None => {
                    let end = raw.len() - line.len() + first.len();
                    read.rejects.push((number, raw[..end].to_vec()));
                }
            }
            names = Some(next);
            is_lost = false;
        } else if is_lost {
            read.rejects.push((number, raw.to_vec()));
        } else if let Some(records) = joined(line, own).filter(|_| !fitting) {
            read.lines += records.len() as u64 - 1;
            for line in records {
                match record(line.as_bytes(), own) {
                    Some(values) => read.records.push((own.clone(), values)),
                    None => read.rejects.push((number, line.into_bytes())),
                }
            }
        } else {
            match record(line, own) {
                Some(values) => read.records.push((own.clone(), values)),
                None => read.rejects.push((number, raw.to_vec())),
            }
        }
    }
    read
}

/// A line without a mark before it and a carriage return behind it.
fn bare(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
}

/// A line without tabs and zeros around it.
fn inside(mut line: &[u8]) -> &[u8] {
    while let [b'\t' | 0, rest @ ..] | [rest @ .., b'\t' | 0] = line {
        line = rest;
    }
    line
}

fn header(line: &[u8]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(line).ok()?;
    let words: Vec<String> = text
        .split([' ', '\t', '\r'])
        .filter(|w| !w.is_empty())
        .map(|w| w.trim_matches(['"', '\'', '`']).to_lowercase().replace('_', "-"))
        .collect();
    let shaped = words.iter().all(|w| {
        w.starts_with(|c: char| c.is_ascii_lowercase())
            && w.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    });
    let known = words.iter().filter(|w| is_known(w)).count();
    (shaped && !text.contains('\t') && known * 2 >= words.len()).then(|| numbered(words))
}

/// A header amid other marks: at least three known names.
fn amid_marks(line: &[u8]) -> Option<Vec<String>> {
    const SENTENCE: &str = " a an and are for has is it its not of or the this was with ";
    let text = std::str::from_utf8(line).ok()?;
    if text.trim_start_matches([' ', '\t']).starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return None;
    }
    let is_mark = |c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_';
    let words = text.split(|c: char| c.is_ascii_whitespace() || ",;|\u{1}".contains(c));
    let words: Vec<String> = words
        .filter(|w| !w.trim_matches(is_mark).is_empty())
        .skip_while(|w| w.ends_with(':'))
        .map(|w| w.trim_matches(is_mark).to_lowercase().replace('_', "-"))
        .collect();
    let shaped = words.iter().all(|w| {
        w.starts_with(|c: char| c.is_ascii_lowercase())
            && w.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    });
    let is_sentence = words.iter().any(|w| SENTENCE.contains(&format!(" {w} ")));
    let known = words.iter().filter(|w| is_known(w)).count();
    (shaped && !is_sentence && known >= 3 && known * 2 >= words.len() && is_sure(&words))
        .then(|| numbered(words))
}

/// Whether no other text has these names.
fn is_sure(names: &[String]) -> bool {
    let any_text = ["version", "bytes", "start", "end", "packets", "protocol", "action", "type"];
    let known: Vec<&String> = names.iter().filter(|n| is_known(n)).collect();
    known.len() > 1 && known.iter().any(|n| !any_text.contains(&n.trim_end_matches('-')))
}

fn is_known(name: &str) -> bool {
    let name = name.trim_end_matches('-');
    INT32.contains(&name) || INT64.contains(&name) || OTHERS.contains(&name)
}

/// Fields that stand again get a number.
fn numbered(words: Vec<String>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for word in words {
        let free = (1..).map(|n| if n == 1 { word.clone() } else { format!("{word}-{n}") });
        let name = free.into_iter().find(|n| !names.contains(n)).expect("endless");
        names.push(name);
    }
    names
}

/// Whether a line has as many fields as it should.
fn fits(line: &[u8], names: &[String]) -> bool {
    let apart = line.split(|b| matches!(b, b' ' | b'\t')).filter(|w| !w.is_empty());
    std::str::from_utf8(line).is_err()
        || line.split(|b| *b == b' ').count() == names.len()
        || apart.count() == names.len()
}

/// A header of mostly new names.
fn is_strange(line: &[u8]) -> bool {
    let text = std::str::from_utf8(line).unwrap_or_default();
    let words: Vec<&str> =
        text.split([' ', '\r']).filter(|w| !w.is_empty()).map(|w| w.trim_matches(['"', '\'', '`'])).collect();
    let known = words.iter().filter(|w| is_known(&w.replace('_', "-"))).count();
    let is_plain = |w: &&str| {
        w.starts_with(|c: char| c.is_ascii_lowercase())
            && w.chars().all(|c| c.is_ascii_lowercase() || c == '-' || c == '_')
    };
    words.len() >= 5
        && known >= 2
        && known * 3 >= words.len()
        && known * 2 < words.len()
        && words.iter().all(is_plain)
        && is_known(&words[0].replace('_', "-"))
}

/// A header that is not understood, where a record of `own` fields would stand: as many words, one of them known, and one where
/// no word can be.
fn replaces(line: &[u8], own: &[String]) -> bool {
    let text = std::str::from_utf8(line).unwrap_or_default();
    let words: Vec<String> = text
        .split([' ', '\r'])
        .filter(|w| !w.is_empty())
        .map(|w| w.trim_matches(['"', '\'', '`']).to_lowercase().replace('_', "-"))
        .collect();
    let are_words = words.iter().all(|w| {
        w.starts_with(|c: char| c.is_ascii_lowercase())
            && w.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    });
    let holds_no_word = |name: &String| {
        let name = first_of_its_name(name);
        name.ends_with("addr") || is_integer(name) || name == "log-status"
    };
    are_words
        && words.len() > 1
        && words.len() == own.len()
        && words.iter().any(|w| is_known(w))
        && own.iter().any(holds_no_word)
}

/// A record, and the header that was joined to it without a newline.
fn glued<'a>(line: &'a [u8], names: &[String]) -> Option<Glued<'a>> {
    let words: Vec<&[u8]> = line.split(|b| *b == b' ').collect();
    let word = *words.get(names.len() - 1).filter(|_| words.len() > names.len())?;
    let start: usize = words[..names.len() - 1].iter().map(|w| w.len() + 1).sum();
    let at = (1..word.len()).find(|at| std::str::from_utf8(&word[*at..]).is_ok_and(is_known))?;
    let next = header(&line[start + at..]).filter(|h| h.len() > 1)?;
    let value = std::str::from_utf8(&word[..at]).ok()?;
    may_begin(names.last()?, value).then_some((&line[..start + at], Some(next)))
}

/// What stands before a header in its line, and the names of that, where it is known where they begin.
type Glued<'a> = (&'a [u8], Option<Vec<String>>);

/// Whether values of a field may begin so.
fn may_begin(name: &str, begin: &str) -> bool {
    match first_of_its_name(name) {
        _ if begin == "-" => true,
        name if is_integer(name) => begin.chars().all(|c| c.is_ascii_digit()),
        name if name.ends_with("addr") => begin.chars().all(|c| c.is_ascii_hexdigit() || ".:".contains(c)),
        "action" | "log-status" => begin.chars().all(|c| c.is_ascii_uppercase()),
        _ => {
            begin.strip_suffix('-').is_none_or(|v| !v.is_empty() && v.chars().all(|c| c.is_ascii_lowercase()))
        }
    }
}

/// Whether a line of words begins with a value of the first field.
fn begins_as_record(line: &[u8], own: Option<&[String]>) -> bool {
    let first =
        std::str::from_utf8(line).unwrap_or_default().split(' ').find(|w| !w.is_empty()).unwrap_or_default();
    let own = own.and_then(|own| own.first());
    own.is_some_and(|own| !may_be(own, "?") && may_be(own, first)) && !is_known(first)
}

/// Whether a line that has as many words as a record is none, by the kinds of its values.
fn is_cut(line: &[u8], names: &[String]) -> bool {
    let Ok(text) = std::str::from_utf8(line) else { return false };
    let values: Vec<&str> = text.split(' ').collect();
    values.len() == names.len() && !names.iter().zip(values).all(|(name, v)| v.is_empty() || may_be(name, v))
}

/// A record that was cut anywhere, and the header that was joined to it: every way of cutting is tried, and that with the first name of the
/// header before is taken, or else the first.
fn cut<'a>(line: &'a [u8], names: &[String]) -> Option<Glued<'a>> {
    let text = std::str::from_utf8(line).ok()?;
    let mut ways: Vec<(usize, Vec<String>)> = Vec::new();
    let mut begin = 0;
    for word in text.split(' ') {
        // In the last bytes of a word, however long it is.
        let from = begin + word.len().saturating_sub(NAME_BYTES_MAX);
        let end = begin + word.len();
        let ends_in_name = |at: &usize| is_known(&text[*at..end].to_lowercase().replace('_', "-"));
        let mut places = (from.max(1)..end).filter(|at| text.is_char_boundary(*at));
        if let Some(at) = places.find(ends_in_name) {
            ways.extend(header(&line[at..]).filter(|h| h.len() > 1 && is_sure(h)).map(|h| (at, h)));
        }
        begin = end + 1;
    }
    let (at, next) = ways.iter().find(|(_, h)| h[0] == names[0]).or(ways.first())?;
    let before = text[..*at].trim_end_matches([' ', '#']);
    let values: Vec<&str> = before.split(' ').filter(|v| !v.is_empty()).collect();
    let (name, last) = (names.get(values.len().checked_sub(1)?), *values.last()?);
    let is_value =
        name.is_some_and(|name| if before.len() < *at { may_be(name, last) } else { may_begin(name, last) });
    if is_value {
        return Some((before.as_bytes(), Some(next.clone())));
    }
    let known = next.iter().filter(|n| is_known(first_of_its_name(n))).count();
    (known >= 3 && may_be(&names[0], values[0])).then_some((line, None))
}

/// The lines of records that were joined without a newline: every way of cutting is tried, and one alone may do.
fn joined(line: &[u8], names: &[String]) -> Option<Vec<String>> {
    const SEAM_BYTES_MAX: usize = 64;
    let (first, last) = (names.first()?, names.last()?);
    let mut words: Vec<&str> = std::str::from_utf8(line).ok()?.split(' ').filter(|w| !w.is_empty()).collect();
    if names.len() < 2 || [first, last].iter().any(|name| may_be(name, "?")) {
        return None;
    }
    let mut records = Vec::new();
    while words.len() > names.len() {
        let word = words[names.len() - 1];
        if word.len() > SEAM_BYTES_MAX {
            return None;
        }
        let is_whole =
            |name: &str, v: &str| may_be(name, v) && !(is_integer(name) && v.len() > 1 && v.starts_with('0'));
        let cuts = (1..word.len()).filter(|at| word.is_char_boundary(*at)).map(|at| word.split_at(at));
        let ways: Vec<_> =
            cuts.filter(|(end, begin)| is_whole(last, end) && is_whole(first, begin)).collect();
        let [(end, begin)] = ways[..] else { return None };
        words[names.len() - 1] = end;
        records.push(words[..names.len()].to_vec());
        words.drain(..names.len());
        words.insert(0, begin);
    }
    records.push(words);
    let is_record = |values: &Vec<&str>| {
        values.len() == names.len() && names.iter().zip(values).all(|(name, v)| may_be(name, v))
    };
    let are_records = records.len() > 1 && records.iter().all(is_record);
    are_records.then(|| records.iter().map(|values| values.join(" ")).collect())
}

/// Whether a value is of its field's kind; of fields that tests do not have it knows nothing.
fn may_be(name: &str, value: &str) -> bool {
    let is_up_to = |max: u64| value.parse::<u64>().is_ok_and(|n| n <= max);
    let is_number = value.chars().all(|c| c.is_ascii_digit());
    value == "-"
        || match first_of_its_name(name) {
            "log-status" => ["OK", "NODATA", "SKIPDATA"].contains(&value),
            "action" => ["ACCEPT", "REJECT"].contains(&value),
            "srcaddr" | "dstaddr" => value.parse::<std::net::IpAddr>().is_ok(),
            "srcport" | "dstport" => is_number && is_up_to(65_535),
            "protocol" => is_number && is_up_to(255),
            "start" | "end" => is_number && [9, 10, 13].contains(&value.len()),
            "account-id" => is_number || value == "unknown",
            "interface-id" => value.starts_with("eni-"),
            name => is_number || !is_integer(name),
        }
}

fn is_integer(name: &str) -> bool {
    let name = first_of_its_name(name);
    INT32.contains(&name) || INT64.contains(&name)
}

/// A name without the number that it got as the second or later one of an object.
fn first_of_its_name(name: &str) -> &str {
    let again = name.rsplit_once('-').filter(|(_, n)| n.parse().is_ok_and(|n: u32| n >= 2));
    again.map_or(name, |(first, _)| first)
}

fn record(line: &[u8], names: &[String]) -> Option<Vec<Vec<u8>>> {
    std::str::from_utf8(line).ok()?;
    let mut values: Vec<Vec<u8>> = line.split(|b| *b == b' ').map(<[u8]>::to_vec).collect();
    if values.len() != names.len() {
        let is_between = |b: &u8| matches!(b, b' ' | b'\t');
        values = line.split(is_between).filter(|v| !v.is_empty()).map(<[u8]>::to_vec).collect();
    }
    if values.len() != names.len() {
        return None;
    }
    for (name, value) in names.iter().zip(&values) {
        let value = std::str::from_utf8(value).ok()?;
        let digits = !value.is_empty() && value.chars().all(|c| c.is_ascii_digit());
        let max = match first_of_its_name(name) {
            n if INT32.contains(&n) => u128::from(i32::MAX.unsigned_abs()),
            n if INT64.contains(&n) => u128::from(i64::MAX.unsigned_abs()),
            _ => continue,
        };
        let significant = value.trim_start_matches('0');
        let fits =
            significant.len() <= 30 && format!("0{significant}").parse::<u128>().is_ok_and(|v| v <= max);
        if value != "-" && !(digits && fits) {
            return None;
        }
    }
    Some(values)
}
