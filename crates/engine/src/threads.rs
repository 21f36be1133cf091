//! Pools of threads.

/// So many threads, at least one, whose names begin with `name`.
pub(crate) fn pool(threads: usize, name: &'static str) -> rayon::ThreadPool {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1));
    pool.thread_name(move |i| format!("{name}-{i}")).build().expect("threads can be made")
}
