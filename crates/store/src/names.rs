//! Names: keys that stay inside a store, and names that nobody else has.

use std::hash::{BuildHasher as _, RandomState};

/// A name of 32 hexadecimal digits that no other process on any machine has, whatever its number is: processes in containers
/// all have the same one.
pub fn random_name() -> String {
    // Seeded by the system: each state has a secret of its own.
    let random = RandomState::new();
    format!("{:016x}{:016x}", random.hash_one(0), random.hash_one(1))
}

/// Whether a key stays below the root that it is joined to, as one name of one place: no part of it is empty, `.` or `..`.
pub(crate) fn stays_inside(key: &str) -> bool {
    !key.contains('\0') && key.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ() {
        let names: std::collections::HashSet<String> = (0..1_000).map(|_| random_name()).collect();
        assert_eq!(names.len(), 1_000);
        assert!(names.iter().all(|n| n.len() == 32 && n.bytes().all(|b| b.is_ascii_hexdigit())));
    }

    #[test]
    fn keys_that_leave() {
        for key in ["../a", "/a", "a/../../b", "a//b", "a/", ".", "", "a/./b", "a\0b"] {
            assert!(!stays_inside(key), "{key:?}");
        }
        for key in ["a", "a/b", "a/..b/c..", "a b/é", "a\\b"] {
            assert!(stays_inside(key), "{key:?}");
        }
    }
}
