//! Requests to one bucket, each performed until it succeeds or fails for good.

use std::future::Future;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ArchiveStatus, ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart,
    GlacierJobParameters, RequestPayer, RestoreRequest as RestoreRequestBody, ServerSideEncryption, Tier,
};
use base64::Engine as _;
use bytes::{Bytes, BytesMut};

use crate::archive::{ArchiveTier, Archived, Asked, Restoration, RestoreRequest, Retrieval, StorageClass};
use crate::error::{Error, ErrorKind};
use crate::location::S3_SCHEME;
use crate::s3::connect::{Connection, S3Options};
use crate::s3::failure::failure;
use crate::s3::lifecycle::ends_uploads;
use crate::s3::pace::{Pace, Request};
use crate::s3::waiting::Waiting;
use crate::{ObjectMeta, RANGE_BYTES};

/// Once asked to stop, what is under way may still take this long.
const GRACE: Duration = Duration::from_secs(3);

/// How often a waiting caller looks whether it is asked to stop.
const STOP_CHECK: Duration = Duration::from_millis(50);

/// Most bytes of an object whose size nobody knows before: records. The longest are plans, of hundreds of bytes an object.
const UNTOLD_BYTES_MAX: u64 = 4 << 30;

/// One page of a listing, one level deep or whole.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) objects: Vec<ObjectMeta>,
    pub(crate) folders: Vec<String>,
    /// When each of the objects was written, in Unix seconds.
    pub(crate) written_s: Vec<i64>,
    pub(crate) next: Option<String>,
    /// Whether it holds nothing at all, not even what is no object.
    pub(crate) is_empty: bool,
}

/// Where a page of a listing begins.
#[derive(Debug, Clone)]
pub(crate) enum From {
    /// With the first key.
    Start,
    /// Behind this key.
    After(String),
    /// Where the page before it ended.
    Token(String),
}

/// A bucket and how it is spoken to.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) name: String,
    client: RwLock<Client>,
    connection: Arc<Connection>,
    options: Arc<S3Options>,
    pace: Pace,
    pub(crate) runtime: Arc<Waiting>,
    /// Slots for parts of uploads in memory.
    pub(crate) parts: Arc<tokio::sync::Semaphore>,
    /// When it was first seen that we are asked to stop.
    asked_to_stop: OnceLock<tokio::time::Instant>,
    /// Bytes of sealed objects that wait in memory for their commit.
    pub(crate) held: std::sync::atomic::AtomicUsize,
}

impl Bucket {
    /// Asks nothing yet: the first request tells whether the bucket exists, and where.
    pub(crate) fn new(
        name: &str,
        connection: &Arc<Connection>,
        runtime: &Arc<Waiting>,
        parts: &Arc<tokio::sync::Semaphore>,
    ) -> Self {
        let options = connection.options.clone();
        Self {
            name: name.to_owned(),
            client: RwLock::new(connection.client(None)),
            connection: connection.clone(),
            pace: Pace::new(options.timeout, options.stop.clone(), options.traffic.clone()),
            options,
            runtime: runtime.clone(),
            parts: parts.clone(),
            asked_to_stop: OnceLock::new(),
            held: std::sync::atomic::AtomicUsize::new(0),
        }
    }

    /// Whether we are asked to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.options.stop.load(Ordering::Relaxed)
    }

    fn client(&self) -> Client {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Goes to the region that the store tells, unless one was given.
    fn goes_to(&self, region: &str) -> bool {
        if self.options.region.is_some() {
            return false;
        }
        let client = self.connection.client(Some(region.to_owned()));
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = client;
        true
    }

    /// Name of an object for people and records.
    pub(crate) fn url(&self, key: &str) -> String {
        format!("{S3_SCHEME}{}/{key}", self.name)
    }

    /// Waits for `future` on a thread that may wait, not longer than it takes to stop once asked to.
    pub(crate) fn wait<T>(
        &self,
        action: &'static str,
        key: &str,
        future: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let stopped = async {
            while !self.is_stopping() {
                tokio::time::sleep(STOP_CHECK).await;
            }
            // The grace is one for all that waits, however much there is.
            let asked = *self.asked_to_stop.get_or_init(tokio::time::Instant::now);
            tokio::time::sleep_until(asked + GRACE).await;
        };
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                result = future => result,
                () = stopped => Err(Error::new(ErrorKind::Interrupted, action, self.url(key))),
            }
        })
    }

    async fn perform<T, F>(
        &self,
        request: Request,
        action: &'static str,
        key: &str,
        bytes: u64,
        attempt: impl Fn(u32) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let timed_out = || {
            let detail = format!("no answer within {} s", self.options.timeout.as_secs());
            Error::told(ErrorKind::Unreachable, action, self.url(key), detail)
        };
        let began = tokio::time::Instant::now();
        let mut moved = false;
        let settled = loop {
            match self.pace.perform(request, bytes, timed_out, &attempt).await {
                Err(error) if !moved && error.region().is_some_and(|r| self.goes_to(r)) => moved = true,
                settled => break settled.map_err(|error| self.explained(error)),
            }
        };
        let failed = settled.as_ref().err().map(|error| tracing::field::debug(error.kind()));
        tracing::debug!(
            url = self.url(key),
            bytes,
            ms = began.elapsed().as_millis() as u64,
            failed,
            "{action}"
        );
        settled
    }

    /// An error that says who was asked, or where credentials were looked for.
    fn explained(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::Unreachable => error.at(&self.connection.host()),
            ErrorKind::NoCredentials => {
                error.noted(flowquet_aws::looked_for(self.options.profile.as_deref()))
            }
            _ => error,
        }
    }

    fn payer(&self) -> Option<RequestPayer> {
        self.options.requester_pays.then_some(RequestPayer::Requester)
    }

    fn encryption(&self) -> (Option<ServerSideEncryption>, Option<String>) {
        (self.options.sse.as_deref().map(ServerSideEncryption::from), self.options.sse_kms_key_id.clone())
    }

    /// A page of the keys that begin with `prefix`; with `one_level`, keys below further slashes as folders.
    pub(crate) async fn page(
        &self,
        prefix: &str,
        one_level: bool,
        max: Option<i32>,
        from: From,
    ) -> Result<Page, Error> {
        let (after, token) = match from {
            From::Start => (None, None),
            From::After(key) => (Some(key), None),
            From::Token(token) => (None, Some(token)),
        };
        let ask = |_| async {
            let answer = self
                .client()
                .list_objects_v2()
                .bucket(&self.name)
                .set_prefix((!prefix.is_empty()).then(|| prefix.to_owned()))
                .set_delimiter(one_level.then(|| "/".to_owned()))
                .set_max_keys(max)
                .set_start_after(after.clone())
                .set_continuation_token(token.clone())
                .set_request_payer(self.payer())
                .send()
                .await;
            answer.map_err(|e| failure("list", self.url(prefix), &e))
        };
        let answer = self.perform(Request::Read, "list", prefix, 0, ask).await?;
        let contents = answer.contents.unwrap_or_default();
        let folders: Vec<String> =
            answer.common_prefixes.unwrap_or_default().into_iter().filter_map(|p| p.prefix).collect();
        let is_empty = contents.is_empty() && folders.is_empty();
        // What is asked for decides what is looked at, whatever the answer holds.
        let is_outside = |key: &str| !key.starts_with(prefix);
        let mut keys = contents.iter().filter_map(|o| o.key()).chain(folders.iter().map(String::as_str));
        if let Some(key) = keys.find(|key| is_outside(key)) {
            let detail = format!("expected keys that begin with `{prefix}`, found `{key}`");
            return Err(Error::told(ErrorKind::Unavailable, "list", self.url(prefix), detail));
        }
        let next = match (answer.is_truncated, answer.next_continuation_token) {
            (Some(false), _) => None,
            // What is left would be missing.
            (Some(true), None) => {
                let detail = "expected a token to continue with, as there is more, found none: the store does not support ListObjectsV2";
                return Err(Error::told(ErrorKind::Unavailable, "list", self.url(prefix), detail.to_owned()));
            }
            (_, token) => token,
        };
        let objects = contents.into_iter().filter_map(|object| {
            // A key that ends in a slash is a folder that somebody made in a console.
            let key = object.key.filter(|k| !k.ends_with('/'))?;
            let meta = ObjectMeta {
                url: self.url(&key),
                key,
                bytes: object.size.and_then(|s| u64::try_from(s).ok()).unwrap_or_default(),
                etag: bare_etag(object.e_tag.as_deref()),
                class: object
                    .storage_class
                    .map_or(StorageClass::Open, |class| StorageClass::of(class.as_str())),
            };
            Some((meta, object.last_modified.map_or(i64::MAX, |time| time.secs())))
        });
        let (objects, written_s) = objects.unzip();
        Ok(Page { objects, written_s, folders, is_empty, next })
    }

    async fn ask_head(&self, key: &str) -> Result<HeadObjectOutput, Error> {
        let ask = |_| async {
            let request = self.client().head_object().bucket(&self.name).key(key);
            let answer = request.set_request_payer(self.payer()).send().await;
            answer.map_err(|e| failure("read", self.url(key), &e))
        };
        self.perform(Request::Read, "read", key, 0, ask).await
    }

    pub(crate) async fn head(&self, key: &str) -> Result<ObjectMeta, Error> {
        let answer = self.ask_head(key).await?;
        Ok(ObjectMeta {
            key: key.to_owned(),
            url: self.url(key),
            bytes: answer.content_length.and_then(|n| u64::try_from(n).ok()).unwrap_or_default(),
            etag: bare_etag(answer.e_tag.as_deref()),
            class: answer.storage_class.map_or(StorageClass::Open, |class| StorageClass::of(class.as_str())),
        })
    }

    /// Whether an object lies in an archive. Of Intelligent-Tiering, `x-amz-archive-status` tells.
    ///
    /// Source: docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html.
    pub(crate) async fn archived(&self, key: &str) -> Result<Option<Archived>, Error> {
        let answer = self.ask_head(key).await?;
        let tier = match (&answer.archive_status, &answer.storage_class) {
            (Some(ArchiveStatus::DeepArchiveAccess), _) => ArchiveTier::TieringDeep,
            (Some(_), _) => ArchiveTier::TieringAccess,
            (None, Some(class)) => match StorageClass::of(class.as_str()) {
                StorageClass::Flexible => ArchiveTier::Flexible,
                StorageClass::Deep => ArchiveTier::Deep,
                StorageClass::Open | StorageClass::Tiering => return Ok(None),
            },
            (None, None) => return Ok(None),
        };
        Ok(Some(Archived { tier, restoration: Restoration::of(answer.restore.as_deref()) }))
    }

    /// Asks that an archived object be restored. Days are told where a copy is made of it, and only there.
    ///
    /// Source: docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects.html.
    pub(crate) async fn restore(&self, key: &str, wanted: &RestoreRequest) -> Result<Asked, Error> {
        let tier = match wanted.retrieval {
            Retrieval::Bulk => Tier::Bulk,
            Retrieval::Standard => Tier::Standard,
            Retrieval::Expedited => Tier::Expedited,
        };
        let ask = |_| async {
            let job = GlacierJobParameters::builder().tier(tier.clone()).build();
            let job =
                job.map_err(|e| Error::told(ErrorKind::Other, "restore", self.url(key), e.to_string()))?;
            let request = RestoreRequestBody::builder().set_days(wanted.days.map(i32::from));
            let request = request.glacier_job_parameters(job).build();
            let answer = self.client().restore_object().bucket(&self.name).key(key).restore_request(request);
            let answer = answer.set_request_payer(self.payer()).send().await;
            match answer.map_err(|e| failure("restore", self.url(key), &e)) {
                Ok(_) => Ok(Asked::Requested),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Asked::Ongoing),
                Err(error) => Err(error),
            }
        };
        self.perform(Request::Write, "restore", key, 0, ask).await
    }

    /// The bytes of an object, or of a range of it, which must have `etag` unless that is empty. They must be `expected` ones, if
    /// that is known; never more is read.
    pub(crate) async fn get(
        &self,
        key: &str,
        etag: &str,
        range: Option<Range<u64>>,
        expected: Option<u64>,
    ) -> Result<Bytes, Error> {
        let ask = |_| async {
            let request = self
                .client()
                .get_object()
                .bucket(&self.name)
                .key(key)
                .set_range(range.as_ref().map(|r| format!("bytes={}-{}", r.start, r.end - 1)))
                .set_if_match((!etag.is_empty()).then(|| format!("\"{etag}\"")))
                .set_request_payer(self.payer());
            let answer = request.send().await.map_err(|e| failure("read", self.url(key), &e))?;
            let found = bare_etag(answer.e_tag.as_deref());
            if !etag.is_empty() && found != etag {
                return Err(Error::new(ErrorKind::Changed, "read", self.url(key)));
            }
            let broken = |detail: String| Error::told(ErrorKind::Unavailable, "read", self.url(key), detail);
            let told = answer.content_length.and_then(|n| u64::try_from(n).ok());
            if let (Some(range), Some(found)) = (&range, &answer.content_range) {
                let wanted = format!("bytes {}-{}/", range.start, range.end - 1);
                if !found.starts_with(&wanted) {
                    let found: String = found.chars().take(wanted.len() + 20).collect();
                    return Err(broken(format!("expected {wanted}…, found {found}")));
                }
            }
            // A store that does not know ranges sends everything.
            let length = expected.or(told);
            let most = length.unwrap_or(UNTOLD_BYTES_MAX).min(if expected.is_some() {
                u64::MAX
            } else {
                UNTOLD_BYTES_MAX
            });
            if told.is_some_and(|told| told > most) {
                // By its etag it would be another object.
                if etag.is_empty() && range.is_none() && expected.is_some() {
                    return Err(Error::new(ErrorKind::Changed, "read", self.url(key)));
                }
                return Err(broken(format!(
                    "expected at most {most} bytes, found {}",
                    told.unwrap_or_default()
                )));
            }
            // Checks the checksum on its way, where the store sends one.
            let ready = length.unwrap_or_default().min(RANGE_BYTES) as usize;
            let mut body = BytesMut::with_capacity(ready);
            let mut parts = answer.body;
            while let Some(part) = parts.try_next().await.map_err(|e| broken(e.to_string()))? {
                body.extend_from_slice(&part);
                if body.len() as u64 > most {
                    return Err(broken(format!("expected at most {most} bytes, found more")));
                }
            }
            match length {
                Some(length) if length != body.len() as u64 => {
                    Err(broken(format!("expected {length} bytes, found {}", body.len())))
                }
                _ => Ok(body.freeze()),
            }
        };
        self.perform(Request::Read, "read", key, expected.unwrap_or_default(), ask).await
    }

    pub(crate) async fn put(&self, key: &str, bytes: Bytes) -> Result<(), Error> {
        self.perform(Request::Write, "write", key, bytes.len() as u64, |_| {
            self.put_once(key, bytes.clone(), false)
        })
        .await
    }

    async fn put_once(&self, key: &str, bytes: Bytes, only_if_absent: bool) -> Result<(), Error> {
        let (sse, kms_key) = self.encryption();
        let answer = self
            .client()
            .put_object()
            .bucket(&self.name)
            .key(key)
            .body(ByteStream::from(bytes))
            .set_if_none_match(only_if_absent.then(|| "*".to_owned()))
            .set_server_side_encryption(sse)
            .set_ssekms_key_id(kms_key)
            .set_request_payer(self.payer())
            .send()
            .await;
        let action = if only_if_absent { "create" } else { "write" };
        answer.map(drop).map_err(|e| failure(action, self.url(key), &e))
    }

    /// Puts unless there is one.
    pub(crate) async fn put_if_absent(&self, key: &str, bytes: Bytes) -> Result<(), Error> {
        let attempt = |before| {
            let bytes = bytes.clone();
            async move {
                let result = self.put_once(key, bytes.clone(), true).await;
                match result {
                    // An earlier attempt may have been performed though its answer was lost: then what is there is ours.
                    Err(error) if error.kind() == ErrorKind::AlreadyExists && before > 0 => {
                        let there = self.get(key, "", None, None).await?;
                        if there == bytes { Ok(()) } else { Err(error) }
                    }
                    other => other,
                }
            }
        };
        self.perform(Request::Write, "create", key, bytes.len() as u64, attempt).await
    }

    pub(crate) async fn delete(&self, key: &str) -> Result<(), Error> {
        let ask = |_| async {
            let request = self.client().delete_object().bucket(&self.name).key(key);
            let answer = request.set_request_payer(self.payer()).send().await;
            answer.map(drop).map_err(|e| failure("delete", self.url(key), &e))
        };
        self.perform(Request::Write, "delete", key, 0, ask).await
    }

    /// Whether a rule of the bucket ends uploads that nobody finished, for keys that begin with `prefix`.
    pub(crate) async fn ends_unfinished_uploads(&self, prefix: &str) -> Result<bool, Error> {
        use aws_sdk_s3::error::ProvideErrorMetadata as _;
        let ask = |_| async {
            match self.client().get_bucket_lifecycle_configuration().bucket(&self.name).send().await {
                Ok(answer) => Ok(answer.rules().iter().any(|rule| ends_uploads(rule, prefix))),
                Err(error) if error.code() == Some("NoSuchLifecycleConfiguration") => Ok(false),
                Err(error) => Err(failure("read the lifecycle rules of", self.url(""), &error)),
            }
        };
        self.perform(Request::Read, "read the lifecycle rules of", "", 0, ask).await
    }

    pub(crate) async fn copy(&self, from: &str, to: &str) -> Result<(), Error> {
        let source: String = format!("{}/{from}", self.name)
            .bytes()
            .map(|b| match b {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                    char::from(b).to_string()
                }
                _ => format!("%{b:02X}"),
            })
            .collect();
        let ask = |_| async {
            let (sse, kms_key) = self.encryption();
            let request = self.client().copy_object().bucket(&self.name).key(to).copy_source(&source);
            let request = request.set_server_side_encryption(sse).set_ssekms_key_id(kms_key);
            let answer = request.set_request_payer(self.payer()).send().await;
            answer.map(drop).map_err(|e| failure("write", self.url(to), &e))
        };
        self.perform(Request::Write, "write", to, 0, ask).await
    }

    /// Begins a multipart upload and returns its id.
    pub(crate) async fn begin_upload(&self, key: &str) -> Result<String, Error> {
        let ask = |_| async {
            let (sse, kms_key) = self.encryption();
            let answer = self
                .client()
                .create_multipart_upload()
                .bucket(&self.name)
                .key(key)
                .checksum_algorithm(ChecksumAlgorithm::Crc32)
                .checksum_type(ChecksumType::FullObject)
                .set_server_side_encryption(sse)
                .set_ssekms_key_id(kms_key)
                .set_request_payer(self.payer())
                .send()
                .await;
            let answer = answer.map_err(|e| failure("write", self.url(key), &e))?;
            answer.upload_id.ok_or_else(|| {
                Error::told(ErrorKind::Other, "write", self.url(key), "expected an upload id".to_owned())
            })
        };
        self.perform(Request::Write, "write", key, 0, ask).await
    }

    pub(crate) async fn put_part(
        &self,
        key: &str,
        upload: &str,
        number: i32,
        bytes: Bytes,
    ) -> Result<CompletedPart, Error> {
        let attempt = |_| async {
            let answer = self
                .client()
                .upload_part()
                .bucket(&self.name)
                .key(key)
                .upload_id(upload)
                .part_number(number)
                .checksum_algorithm(ChecksumAlgorithm::Crc32)
                .body(ByteStream::from(bytes.clone()))
                .set_request_payer(self.payer())
                .send()
                .await;
            let answer = answer.map_err(|e| failure("write", self.url(key), &e))?;
            Ok(CompletedPart::builder()
                .part_number(number)
                .set_e_tag(answer.e_tag)
                .set_checksum_crc32(answer.checksum_crc32)
                .build())
        };
        self.perform(Request::Write, "write", key, bytes.len() as u64, attempt).await
    }

    /// Makes the object of an upload of `bytes` bytes visible, which the store checks against `crc32`.
    pub(crate) async fn complete_upload(
        &self,
        key: &str,
        upload: &str,
        parts: Vec<CompletedPart>,
        bytes: u64,
        crc32: u32,
    ) -> Result<(), Error> {
        let crc32 = base64::engine::general_purpose::STANDARD.encode(crc32.to_be_bytes());
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let attempt = |before| {
            let (parts, crc32) = (parts.clone(), crc32.clone());
            async move {
                let request = self.client().complete_multipart_upload().bucket(&self.name).key(key);
                let request = request.upload_id(upload).multipart_upload(parts);
                let request = request.checksum_type(ChecksumType::FullObject).checksum_crc32(crc32);
                let answer = request.set_request_payer(self.payer()).send().await;
                match answer.map_err(|e| failure("write", self.url(key), &e)) {
                    // An earlier attempt may have been performed though its answer was lost.
                    Err(error) if error.kind() == ErrorKind::NotFound && before > 0 => {
                        if self.head(key).await?.bytes == bytes { Ok(()) } else { Err(error) }
                    }
                    other => other.map(drop),
                }
            }
        };
        self.perform(Request::Write, "write", key, 0, attempt).await
    }

    pub(crate) async fn abort_upload(&self, key: &str, upload: &str) -> Result<(), Error> {
        let request = self.client().abort_multipart_upload().bucket(&self.name).key(key).upload_id(upload);
        let answer = request.set_request_payer(self.payer()).send().await;
        answer.map(drop).map_err(|e| failure("give up an upload of", self.url(key), &e))
    }
}

/// An etag without the quotes that it travels in.
fn bare_etag(etag: Option<&str>) -> String {
    etag.unwrap_or_default().trim_matches('"').to_owned()
}
