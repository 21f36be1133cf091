//! What a person gives: in the words of any language, and with names in the spellings of other tools.

use std::borrow::Cow;

use crate::catalogue::{Catalogue, normalised};
use crate::foreign::fields_of_names;
use crate::log_format::FormatError;
use crate::spelling::grammar::{Named, names};
use crate::spelling::pattern::{columns, filter_pattern};
use crate::spelling::plain::plain;
use crate::spelling::row::row;
use crate::spelling::{loops, terraform};

/// `text` in words that the grammar knows.
pub(crate) fn readable(text: &str) -> Cow<'_, str> {
    [plain, terraform::written_out, loops::written_out].into_iter().fold(Cow::Borrowed(text), |text, step| {
        match text {
            Cow::Borrowed(text) => step(text),
            Cow::Owned(text) => Cow::Owned(step(&text).into_owned()),
        }
    })
}

/// The names in a text that a person gave, each as the field that it means.
pub(crate) fn given_names<'a>(
    text: &'a str,
    catalogue: &'a Catalogue,
) -> Result<Vec<Named<'a>>, FormatError> {
    let beside = filter_pattern(text).or_else(|| columns(text, catalogue));
    let beside = match beside {
        None => row(text, catalogue)?,
        beside => beside,
    };
    let names = beside.map_or_else(|| names(text, catalogue), Ok)?;
    Ok(meant(names, catalogue))
}

/// `names`, of which bare ones are replaced by the fields that they mean; `${name}` is AWS's own spelling and stays.
pub(super) fn meant<'a>(mut names: Vec<Named<'a>>, catalogue: &Catalogue) -> Vec<Named<'a>> {
    let is_known = |n: &Named<'_>| catalogue.field(&normalised(&n.name)).is_some();
    if names.iter().any(|n| n.is_marked) || names.iter().all(is_known) {
        return names;
    }
    let bare: Vec<&str> = names.iter().map(|n| n.name.as_ref()).collect();
    let fields = fields_of_names(&bare, catalogue);
    names.iter_mut().zip(fields).for_each(|(named, field)| named.name = Cow::Owned(field));
    names
}
