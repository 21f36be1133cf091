//! The `flowquet-sql` program: hands its arguments to the library and its exit code to the system.

fn main() -> std::process::ExitCode {
    flowquet_sql::run(std::env::args_os()).into()
}
