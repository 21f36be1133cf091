//! What the command line says, as its users see it: help of every command, errors with their hints, summaries.
//!
//! Each file of `tests/cmd` is a console session that trycmd runs. Snapshots as text of a session, rather than values beside
//! assertions (insta): a reviewer reads the very screen that a user will see, and a change of wording is a diff of it.
//! `TRYCMD=overwrite cargo test -p flowquet-cli --test cli` writes the sessions anew; `[..]` stands for what varies.

use std::path::Path;

#[test]
fn sessions() {
    let cases = trycmd::TestCases::new();
    cases.env("COLUMNS", "100").env("NO_COLOR", "1").env("RUST_BACKTRACE", "0");
    // No credentials and no settings of the machine that runs this are to be seen.
    cases.env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_CONFIG_FILE", "/dev/null");
    for program in ["cp", "mkdir", "rm"] {
        cases.register_bin(program, Path::new("/bin").join(program));
    }
    cases.case("tests/cmd/*.trycmd");
}
