//! A table's store as the engine reads it: ranges of files, by our own [`Store`], counted.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use flowquet_command::stop::stop;
use flowquet_store::{Error as StoreError, ErrorKind, Store};
use flowquet_table::data_files;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, coalesce_ranges,
};

/// Bytes between two ranges that are read with them rather than by a request more: what S3 sends in about the time that it takes to answer at all.
const GAP_BYTES_MAX: u64 = 64 << 10;

/// What our errors are called among those of other stores.
const NAME: &str = "flowquet";

/// Files of a table by their keys. It reads and does nothing else.
#[derive(Debug)]
pub(crate) struct TableStore {
    out: Arc<dyn Store>,
    bytes_read: AtomicU64,
    /// The first error since it was last asked for: the engine keeps little more of one than its text.
    error: Mutex<Option<StoreError>>,
}

impl TableStore {
    pub(crate) fn new(out: Arc<dyn Store>) -> Self {
        Self { out, bytes_read: AtomicU64::new(0), error: Mutex::default() }
    }

    /// Bytes that were read of files until now.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// The first error of the store since this was last asked.
    pub(crate) fn take_error(&self) -> Option<StoreError> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Where a file is, for people.
    pub(crate) fn url(&self, key: &Path) -> String {
        self.out.url(key.as_ref())
    }

    /// Sizes of all data files of the table, by their keys.
    ///
    /// # Errors
    /// As the store reports.
    pub(crate) async fn sizes(&self) -> Result<HashMap<String, u64>> {
        self.waiting(&Path::default(), |out, _| {
            Ok(data_files(out)?.into_iter().map(|file| (file.key, file.bytes)).collect())
        })
        .await
    }

    /// Our stores wait where they are called, and the threads of the engine must not.
    async fn waiting<T: Send + 'static>(
        &self,
        location: &Path,
        work: impl FnOnce(&dyn Store, &str) -> std::result::Result<T, StoreError> + Send + 'static,
    ) -> Result<T> {
        let (out, key) = (self.out.clone(), location.as_ref().to_owned());
        let done = tokio::task::spawn_blocking(move || work(out.as_ref(), &key)).await?;
        done.map_err(|error| self.told(location, error))
    }

    async fn range(&self, location: &Path, range: Range<u64>) -> Result<Bytes> {
        let bytes = self
            .waiting(location, move |out, key| {
                let bytes =
                    out.fetch(key, "", range.clone(), false).wait(&|| stop().load(Ordering::Relaxed))?;
                // Of a file that is cut stores give what there is, and the reader of Parquet takes for granted that it is all.
                match bytes.len() as u64 == range.end - range.start {
                    true => Ok(bytes),
                    false => Err(StoreError::cut_short(out.url(key), &range, bytes.len())),
                }
            })
            .await?;
        self.bytes_read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes)
    }

    fn told(&self, location: &Path, error: StoreError) -> Error {
        let (path, source) = (location.to_string(), error.to_string().into());
        let told = match error.kind() {
            ErrorKind::NotFound => Error::NotFound { path, source },
            ErrorKind::Denied => Error::PermissionDenied { path, source },
            _ => Error::Generic { store: NAME, source },
        };
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        told
    }
}

impl fmt::Display for TableStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.out.url(""))
    }
}

/// What a table's files are never asked for.
fn never<T>(operation: &str) -> Result<T> {
    Err(Error::NotImplemented { operation: operation.to_owned(), implementer: NAME.to_owned() })
}

#[async_trait]
impl ObjectStore for TableStore {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let whole_bytes = match (&options.range, options.head) {
            (Some(GetRange::Bounded(range)), false) => range.end,
            _ => self.waiting(location, |out, key| out.head(key)).await?.bytes,
        };
        let range = match options.range {
            Some(GetRange::Bounded(range)) => range,
            Some(GetRange::Offset(from)) => from.min(whole_bytes)..whole_bytes,
            Some(GetRange::Suffix(last)) => whole_bytes.saturating_sub(last)..whole_bytes,
            None => 0..whole_bytes,
        };
        let bytes = match options.head || range.is_empty() {
            true => Bytes::new(),
            false => self.range(location, range.clone()).await?,
        };
        let meta = ObjectMeta {
            location: location.clone(),
            last_modified: Default::default(),
            size: whole_bytes,
            e_tag: None,
            version: None,
        };
        let payload = GetResultPayload::Stream(stream::once(async move { Ok(bytes) }).boxed());
        Ok(GetResult { payload, meta, range, attributes: Default::default() })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        coalesce_ranges(ranges, |range| self.range(location, range), GAP_BYTES_MAX).await
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        never("put")
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        never("put_multipart")
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        stream::once(async { never("delete") }).boxed()
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        stream::once(async { never("list") }).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        never("list")
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        never("copy")
    }
}

#[cfg(test)]
mod tests {
    use flowquet_store::Memory;
    use object_store::ObjectStoreExt as _;

    use super::*;

    #[tokio::test]
    async fn ranges_are_read_and_counted() {
        let out = Memory::new("s3://lake");
        let content: Vec<u8> = (0..200_000_u32).map(|i| i as u8).collect();
        out.put("date=1/a.parquet", &content).expect("memory does not fail");
        let store = TableStore::new(Arc::new(out));
        let path = Path::parse("date=1/a.parquet").expect("a path");
        let head = store.head(&path).await.expect("it is there");
        assert_eq!((head.size, store.bytes_read()), (200_000, 0));
        // Neighbours come by one request, what lies between them with them; what lies far apart does not.
        let got = store.get_ranges(&path, &[10..20, 30..40, 150_000..150_001]).await.expect("it is there");
        assert_eq!(got, [&content[10..20], &content[30..40], &content[150_000..150_001]]);
        assert_eq!(store.bytes_read(), 31);
        for (range, expected) in [
            (GetRange::Suffix(3), 199_997..200_000),
            (GetRange::Offset(199_999), 199_999..200_000),
            (GetRange::Bounded(0..2), 0..2),
        ] {
            let options = GetOptions { range: Some(range), ..GetOptions::default() };
            let got = store.get_opts(&path, options).await.expect("it is there");
            assert_eq!(got.range, expected);
            let bytes = got.bytes().await.expect("bytes");
            assert_eq!(bytes, &content[expected.start as usize..expected.end as usize]);
        }
    }

    #[tokio::test]
    async fn errors_are_kept_as_ours() {
        let store = TableStore::new(Arc::new(Memory::new("s3://lake")));
        let path = Path::parse("date=1/gone.parquet").expect("a path");
        assert!(matches!(store.get_range(&path, 0..1).await, Err(Error::NotFound { .. })));
        let error = store.take_error().expect("one was kept");
        assert_eq!((error.kind(), error.url()), (ErrorKind::NotFound, "s3://lake/date=1/gone.parquet"));
        assert!(store.take_error().is_none());
        assert!(store.list(None).next().await.expect("one item").is_err());
    }
}
