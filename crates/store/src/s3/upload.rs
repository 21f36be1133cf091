//! Objects being written to S3: parts go out while more is written; nobody sees the object before it is committed.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use aws_sdk_s3::types::CompletedPart;
use bytes::Bytes;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use crate::error::{Error, ErrorKind};
use crate::s3::bucket::Bucket;
use crate::{HELD_BYTES_MAX, PART_BYTES, Staged};

/// Parts that S3 takes for one object.
const PARTS_MAX: i32 = 10_000;

/// An object being written.
pub(crate) struct S3Upload {
    bucket: Arc<Bucket>,
    key: String,
    /// What is not sent yet, less than a part.
    buffer: Vec<u8>,
    bytes: u64,
    /// Over all bytes, so that whoever reads the object can check it whole.
    crc32: crc32fast::Hasher,
    /// The upload's id, once its first part has asked for it.
    id: Arc<OnceCell<String>>,
    parts: Vec<JoinHandle<Result<CompletedPart, Error>>>,
    is_sealed: bool,
    /// Bytes of `buffer` that are counted as held.
    held: usize,
    is_committed: bool,
}

impl S3Upload {
    pub(crate) fn new(bucket: Arc<Bucket>, key: String) -> Self {
        Self {
            bucket,
            key,
            buffer: Vec::new(),
            bytes: 0,
            crc32: crc32fast::Hasher::new(),
            id: Arc::default(),
            parts: Vec::new(),
            is_sealed: false,
            held: 0,
            is_committed: false,
        }
    }

    /// Sends what is buffered as the next part. Waits while too many parts are in memory.
    fn send_part(&mut self) -> Result<(), Error> {
        let bytes = Bytes::from(std::mem::take(&mut self.buffer));
        let slot = async { Ok(self.bucket.parts.clone().acquire_owned().await.expect("never closed")) };
        let slot = self.bucket.wait("write", &self.key, slot)?;
        let number = i32::try_from(self.parts.len() + 1).unwrap_or(i32::MAX);
        if number > PARTS_MAX {
            let detail = "more than 10,000 parts of 8 MiB".to_owned();
            return Err(Error::told(ErrorKind::TooLarge, "write", self.bucket.url(&self.key), detail));
        }
        let (bucket, key, id) = (self.bucket.clone(), self.key.clone(), self.id.clone());
        self.parts.push(self.bucket.runtime.spawn(async move {
            let id = id.get_or_try_init(|| bucket.begin_upload(&key)).await?;
            let part = bucket.put_part(&key, id, number, bytes).await;
            drop(slot);
            part
        }));
        Ok(())
    }

    fn put_whole(&mut self) -> Result<(), Error> {
        let bytes = Bytes::from(std::mem::take(&mut self.buffer));
        self.bucket.wait("write", &self.key, self.bucket.put(&self.key, bytes))
    }

    fn complete(&mut self) -> Result<(), Error> {
        let sent = std::mem::take(&mut self.parts);
        let bucket = self.bucket.clone();
        let complete = async {
            let mut parts = Vec::with_capacity(sent.len());
            for part in sent {
                parts.push(part.await.unwrap_or_else(|_| Err(self.error("its upload ended early")))?);
            }
            let id = self.id.get().ok_or_else(|| self.error("it has no upload"))?;
            bucket.complete_upload(&self.key, id, parts, self.bytes, self.crc32.clone().finalize()).await
        };
        bucket.wait("write", &self.key, complete)
    }

    fn error(&self, detail: &str) -> Error {
        Error::told(ErrorKind::Other, "write", self.bucket.url(&self.key), detail.to_owned())
    }

    fn let_go_of_held(&mut self) {
        self.bucket.held.fetch_sub(std::mem::take(&mut self.held), Ordering::Relaxed);
    }
}

impl Write for S3Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_sealed {
            return Err(io::Error::other("written to after it was sealed"));
        }
        let taken = bytes.len().min(PART_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        self.bytes += taken as u64;
        self.crc32.update(&bytes[..taken]);
        if self.buffer.len() == PART_BYTES {
            self.send_part().map_err(io::Error::other)?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Staged for S3Upload {
    fn seal(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.is_sealed, true) {
            return Ok(());
        }
        let len = self.buffer.len();
        if self.parts.is_empty() {
            let held = self.bucket.held.fetch_add(len, Ordering::Relaxed) + len;
            if held <= HELD_BYTES_MAX {
                self.held = len;
                self.buffer.shrink_to_fit();
                return Ok(());
            }
            self.bucket.held.fetch_sub(len, Ordering::Relaxed);
        }
        if len > 0 { self.send_part() } else { Ok(()) }
    }

    fn commit(mut self: Box<Self>) -> Result<(), Error> {
        self.is_sealed = true;
        if self.parts.is_empty() {
            self.put_whole()?;
        } else {
            if !self.buffer.is_empty() {
                self.send_part()?;
            }
            self.complete()?;
        }
        self.is_committed = true;
        Ok(())
    }
}

impl Drop for S3Upload {
    fn drop(&mut self) {
        self.let_go_of_held();
        if self.is_committed {
            return;
        }
        // What was sent is paid for until it is aborted. A process that is killed leaves that to the bucket's lifecycle rule.
        if self.parts.is_empty() {
            return;
        }
        let never_begun = async || Err(Error::new(ErrorKind::NotFound, "delete", self.bucket.url(&self.key)));
        let abort = async {
            // Where the id is being asked for at this moment, there will be one.
            let id = self.id.get_or_try_init(never_begun).await;
            self.parts.iter().for_each(JoinHandle::abort);
            self.bucket.abort_upload(&self.key, id?).await
        };
        let _ = self.bucket.wait("delete", &self.key, abort);
    }
}
