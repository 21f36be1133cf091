//! Objects in memory, with the promises of S3.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use base64::Engine as _;
use bytes::Bytes;
use clap::Args;
use http_body_util::BodyExt;
use md5::{Digest, Md5};
use s3s::dto::*;
use s3s::{Body, S3, S3Error, S3Request, S3Response, S3Result, s3_error};

use crate::denied::Denied;

/// Keys of a page, as with S3.
const PAGE_MAX: usize = 1_000;

/// Smallest part of an upload but the last, as with S3.
const PART_MIN: usize = 5 << 20;

/// Storage classes whose objects have to be restored before they can be read.
const ARCHIVES: [&str; 2] = [StorageClass::DEEP_ARCHIVE, StorageClass::GLACIER];

/// What is told of a restored copy. It stays.
const RESTORED: &str = "ongoing-request=\"false\", expiry-date=\"Fri, 31 Dec 2100 00:00:00 GMT\"";

/// What is told of an object that is being restored.
const ONGOING: &str = "ongoing-request=\"true\"";

#[derive(Debug, Clone)]
struct Object {
    bytes: Bytes,
    etag: String,
    /// CRC32 in base64; objects loaded at start have none, like those that AWS delivered long ago.
    checksum: Option<String>,
    crc32: u32,
    /// `None` is the standard class.
    storage_class: Option<StorageClass>,
    /// It lies in the archive tier of Intelligent-Tiering.
    is_tiered_away: bool,
    /// When it is restored, if somebody asked for it.
    restored_at: Option<Instant>,
}

impl Object {
    fn new(bytes: Bytes, checksum: Option<String>) -> Self {
        let (etag, crc32) = (hex(&Md5::digest(&bytes)), crc32fast::hash(&bytes));
        Self { etag, crc32, bytes, checksum, storage_class: None, is_tiered_away: false, restored_at: None }
    }

    fn is_archived(&self) -> bool {
        self.is_tiered_away
            || self.storage_class.as_ref().is_some_and(|class| ARCHIVES.contains(&class.as_str()))
    }

    fn is_restored(&self) -> bool {
        self.restored_at.is_some_and(|at| at <= Instant::now())
    }

    /// Whoever reads or copies an archived object is refused until it is restored.
    fn check_readable(&self) -> S3Result<()> {
        if self.is_archived() && !self.is_restored() {
            let message = "The operation is not valid for the object's storage class";
            return Err(s3_error!(InvalidObjectState, "{message}"));
        }
        Ok(())
    }

    fn restore(&self) -> Option<String> {
        let told = if self.is_restored() { RESTORED } else { ONGOING };
        // In Intelligent-Tiering the object itself is moved, and then nothing is told.
        self.restored_at.filter(|_| !(self.is_tiered_away && self.is_restored())).map(|_| told.to_owned())
    }

    fn archive_status(&self) -> Option<ArchiveStatus> {
        let is_away = self.is_tiered_away && !self.is_restored();
        is_away.then(|| ArchiveStatus::from_static(ArchiveStatus::ARCHIVE_ACCESS))
    }
}

#[derive(Debug, Default, Clone)]
struct Upload {
    bucket: String,
    key: String,
    storage_class: Option<StorageClass>,
    parts: BTreeMap<i32, Object>,
}

#[derive(Debug, Default)]
struct State {
    buckets: HashMap<String, BTreeMap<String, Object>>,
    uploads: HashMap<String, Upload>,
    next_upload: u64,
}

/// An S3 store in memory.
#[derive(Debug)]
pub(crate) struct MemoryStore {
    state: Mutex<State>,
    ignore_conditions: bool,
    denied: Denied,
    archives: ArchiveArgs,
}

/// How archived objects behave.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ArchiveArgs {
    /// Milliseconds from the request until an archived object is restored
    #[arg(long, default_value_t = 0)]
    restore_ms: u64,

    /// Where objects of Intelligent-Tiering lie in its archive tier: `BUCKET/PREFIX`
    #[arg(long)]
    tiered_away: Vec<String>,

    /// Where nobody may restore anything: `BUCKET/PREFIX`
    #[arg(long)]
    deny_restores: Vec<String>,
}

fn is_below(place: &str, prefixes: &[String]) -> bool {
    prefixes.iter().any(|prefix| place.starts_with(prefix.as_str()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn base64_of(crc32: u32) -> String {
    base64::engine::general_purpose::STANDARD.encode(crc32.to_be_bytes())
}

impl MemoryStore {
    pub(crate) fn new(
        buckets: &[String],
        ignore_conditions: bool,
        denied: Denied,
        archives: ArchiveArgs,
    ) -> Self {
        let buckets = buckets.iter().map(|b| (b.clone(), BTreeMap::new())).collect();
        let state = State { buckets, ..State::default() };
        Self { state: Mutex::new(state), ignore_conditions, denied, archives }
    }

    /// Puts all files below `folder` under `prefix`.
    pub(crate) fn load(&mut self, bucket: &str, prefix: &str, folder: &Path) {
        let state = self.state.get_mut().expect("no panic");
        let objects = state.buckets.entry(bucket.to_owned()).or_default();
        let mut folders = vec![(folder.to_owned(), prefix.to_owned())];
        while let Some((folder, prefix)) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
                let name = entry.file_name().into_string().expect("UTF-8");
                let slash = if prefix.is_empty() || prefix.ends_with('/') { "" } else { "/" };
                let key = format!("{prefix}{slash}{name}");
                if entry.path().is_dir() {
                    folders.push((entry.path(), key));
                } else {
                    let bytes = std::fs::read(entry.path()).expect("readable");
                    objects.insert(key, Object::new(bytes.into(), None));
                }
            }
        }
    }

    fn with<T>(
        &self,
        bucket: &str,
        f: impl FnOnce(&mut BTreeMap<String, Object>) -> S3Result<T>,
    ) -> S3Result<T> {
        let mut state = self.state.lock().expect("no panic");
        f(state.buckets.get_mut(bucket).ok_or_else(|| s3_error!(NoSuchBucket))?)
    }

    fn object(&self, bucket: &str, key: &str) -> S3Result<Object> {
        self.with(bucket, |objects| match objects.get(key) {
            Some(object) => Ok(object.clone()),
            None => Err(self.denied.missing()),
        })
    }

    fn insert(
        &self,
        bucket: &str,
        key: String,
        object: Object,
        if_none_match: Option<&IfNoneMatch>,
    ) -> S3Result<()> {
        self.with(bucket, |objects| {
            if if_none_match.is_some() && !self.ignore_conditions && objects.contains_key(&key) {
                return Err(s3_error!(
                    PreconditionFailed,
                    "At least one of the pre-conditions you specified did not hold"
                ));
            }
            objects.insert(key, object);
            Ok(())
        })
    }
}

/// The whole body, checked against the checksum that was sent, in a header or behind the body.
async fn collected<T>(
    body: Option<StreamingBlob>,
    sent: Option<String>,
    request: &S3Request<T>,
) -> S3Result<Object> {
    let bytes = match body {
        Some(body) => {
            let collected = Body::from(body).collect().await;
            collected.map_err(|_| s3_error!(IncompleteBody))?.to_bytes()
        }
        None => Bytes::new(),
    };
    let trailer = request.trailing_headers.as_ref().and_then(|t| {
        t.read(|h| h.get("x-amz-checksum-crc32").and_then(|v| v.to_str().ok()).map(str::to_owned)).flatten()
    });
    // Digests take milliseconds, in which other requests are to be answered.
    let mut object = tokio::task::spawn_blocking(move || Object::new(bytes, None)).await.expect("no panic");
    object.checksum = sent.or(trailer);
    match &object.checksum {
        Some(sent) if *sent != base64_of(object.crc32) => Err(s3_error!(BadDigest)),
        _ => Ok(object),
    }
}

fn etag(object: &Object) -> Option<ETag> {
    Some(ETag::Strong(object.etag.clone()))
}

fn length(object: &Object) -> Option<i64> {
    i64::try_from(object.bytes.len()).ok()
}

/// S3 names the standard class in listings only.
fn kept_class(asked: Option<StorageClass>) -> Option<StorageClass> {
    asked.filter(|class| class.as_str() != StorageClass::STANDARD)
}

fn listed_class(object: &Object) -> ObjectStorageClass {
    let class = object.storage_class.as_ref().map_or(StorageClass::STANDARD, StorageClass::as_str);
    class.to_owned().into()
}

fn ok<T>(output: T) -> S3Result<S3Response<T>> {
    Ok(S3Response::new(output))
}

#[async_trait]
impl S3 for MemoryStore {
    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = req.input;
        let object = self.object(&input.bucket, &input.key)?;
        self.denied.check_read(&input.bucket, &input.key)?;
        if let Some(ETagCondition::ETag(wanted)) = &input.if_match
            && wanted.value() != object.etag
        {
            return Err(s3_error!(PreconditionFailed));
        }
        object.check_readable()?;
        let len = object.bytes.len() as u64;
        let (bytes, content_range, checksum) = match &input.range {
            None => (object.bytes.clone(), None, object.checksum.clone()),
            Some(range) => {
                let range = range.check(len)?;
                let text = format!("bytes {}-{}/{len}", range.start, range.end - 1);
                let (start, end) = (range.start as usize, range.end as usize);
                (object.bytes.slice(start..end), Some(text), None)
            }
        };
        ok(GetObjectOutput {
            content_length: i64::try_from(bytes.len()).ok(),
            body: Some(Body::from(bytes).into()),
            content_range,
            checksum_crc32: checksum.filter(|_| input.checksum_mode.is_some()),
            e_tag: etag(&object),
            last_modified: Some(Timestamp::from(SystemTime::UNIX_EPOCH)),
            restore: object.restore(),
            storage_class: object.storage_class,
            ..GetObjectOutput::default()
        })
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.with(&req.input.bucket, |_| Ok(()))?;
        ok(HeadBucketOutput::default())
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let object = self.object(&req.input.bucket, &req.input.key)?;
        ok(HeadObjectOutput {
            content_length: length(&object),
            e_tag: etag(&object),
            restore: object.restore(),
            archive_status: object.archive_status(),
            storage_class: object.storage_class,
            ..HeadObjectOutput::default()
        })
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = req.input;
        let prefix = input.prefix.clone().unwrap_or_default();
        let max = input.max_keys.and_then(|m| usize::try_from(m).ok()).unwrap_or(PAGE_MAX).min(PAGE_MAX);
        let mut contents = Vec::new();
        let mut folders: Vec<String> = Vec::new();
        let mut last = String::new();
        let is_truncated = self.with(&input.bucket, |objects| {
            let mut after =
                input.continuation_token.clone().or(input.start_after.clone()).unwrap_or_default();
            loop {
                let from = if after < prefix { Bound::Included(&prefix) } else { Bound::Excluded(&after) };
                let next = objects.range::<String, _>((from, Bound::Unbounded)).next();
                let Some((key, object)) = next.filter(|(k, _)| k.starts_with(&prefix)) else {
                    return Ok(false);
                };
                if contents.len() + folders.len() == max {
                    return Ok(true);
                }
                let folder = input.delimiter.as_ref().and_then(|d| {
                    key[prefix.len()..]
                        .find(d.as_str())
                        .map(|at| key[..prefix.len() + at + d.len()].to_owned())
                });
                if let Some(folder) = folder {
                    // Past every key of the folder.
                    after = format!("{folder}\u{10ffff}");
                    folders.push(folder);
                } else {
                    after = key.clone();
                    contents.push(s3s::dto::Object {
                        key: Some(key.clone()),
                        size: length(object),
                        e_tag: etag(object),
                        last_modified: Some(Timestamp::from(SystemTime::UNIX_EPOCH)),
                        storage_class: Some(listed_class(object)),
                        ..s3s::dto::Object::default()
                    });
                }
                last = after.clone();
            }
        })?;
        ok(ListObjectsV2Output {
            key_count: i32::try_from(contents.len() + folders.len()).ok(),
            max_keys: i32::try_from(max).ok(),
            is_truncated: Some(is_truncated),
            contents: Some(contents),
            common_prefixes: Some(folders.into_iter().map(|p| CommonPrefix { prefix: Some(p) }).collect()),
            next_continuation_token: is_truncated.then_some(last),
            delimiter: input.delimiter,
            encoding_type: input.encoding_type,
            name: Some(input.bucket),
            prefix: input.prefix,
            ..ListObjectsV2Output::default()
        })
    }

    async fn put_object(&self, mut req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        self.denied.check_write(&req.input.bucket, &req.input.key)?;
        let (body, sent) = (req.input.body.take(), req.input.checksum_crc32.take());
        let mut object = collected(body, sent, &req).await?;
        object.storage_class = kept_class(req.input.storage_class.take());
        let output = PutObjectOutput {
            e_tag: etag(&object),
            checksum_crc32: object.checksum.clone(),
            ..PutObjectOutput::default()
        };
        let input = req.input;
        let is_tiering =
            object.storage_class.as_ref().is_some_and(|c| c.as_str() == StorageClass::INTELLIGENT_TIERING);
        let place = format!("{}/{}", input.bucket, input.key);
        object.is_tiered_away = is_tiering && is_below(&place, &self.archives.tiered_away);
        self.insert(&input.bucket, input.key, object, input.if_none_match.as_ref())?;
        ok(output)
    }

    async fn copy_object(&self, req: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let input = req.input;
        self.denied.check_write(&input.bucket, &input.key)?;
        let CopySource::Bucket { bucket, key, .. } = input.copy_source else {
            return Err(s3_error!(NotImplemented));
        };
        let mut object = self.with(&bucket, |o| o.get(&*key).cloned().ok_or_else(|| s3_error!(NoSuchKey)))?;
        object.check_readable()?;
        // A copy is of the class that its own request names.
        object.storage_class = kept_class(input.storage_class);
        (object.is_tiered_away, object.restored_at) = (false, None);
        let result = CopyObjectResult { e_tag: etag(&object), ..CopyObjectResult::default() };
        self.insert(&input.bucket, input.key, object, None)?;
        ok(CopyObjectOutput { copy_object_result: Some(result), ..CopyObjectOutput::default() })
    }

    async fn restore_object(
        &self,
        req: S3Request<RestoreObjectInput>,
    ) -> S3Result<S3Response<RestoreObjectOutput>> {
        let RestoreObjectInput { bucket, key, restore_request, .. } = req.input;
        self.denied.check_write(&bucket, &key)?;
        if is_below(&format!("{bucket}/{key}"), &self.archives.deny_restores) {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        }
        let request = restore_request.ok_or_else(|| s3_error!(MalformedXML))?;
        let is_expedited =
            request.glacier_job_parameters.is_some_and(|job| job.tier.as_str() == Tier::EXPEDITED);
        let ready = Instant::now() + Duration::from_millis(self.archives.restore_ms);
        self.with(&bucket, |objects| {
            let object = objects.get_mut(&key).ok_or_else(|| s3_error!(NoSuchKey))?;
            if !object.is_archived() {
                let message = "Restore is not allowed for the object's current storage class";
                return Err(s3_error!(InvalidObjectState, "{message}"));
            }
            let is_deep =
                object.storage_class.as_ref().is_some_and(|c| c.as_str() == StorageClass::DEEP_ARCHIVE);
            if is_deep && is_expedited {
                let message = "Retrieval option is not supported by this storage class";
                return Err(s3_error!(InvalidArgument, "{message}"));
            }
            // Copies have days, and objects that move have none.
            if request.days.is_some() == object.is_tiered_away {
                return Err(s3_error!(MalformedXML));
            }
            if object.restored_at.is_some() && !object.is_restored() {
                return Err(s3_error!(RestoreAlreadyInProgress, "Object restore is already in progress"));
            }
            // A copy that is there stays; only its days change.
            object.restored_at.get_or_insert(ready);
            Ok(())
        })?;
        ok(RestoreObjectOutput::default())
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.denied.check_write(&req.input.bucket, &req.input.key)?;
        self.with(&req.input.bucket, |objects| Ok(objects.remove(&req.input.key)))?;
        ok(DeleteObjectOutput::default())
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let CreateMultipartUploadInput { bucket, key, storage_class, .. } = req.input;
        self.denied.check_write(&bucket, &key)?;
        let mut state = self.state.lock().expect("no panic");
        state.next_upload += 1;
        let id = format!("upload-{}", state.next_upload);
        let upload = Upload {
            bucket: bucket.clone(),
            key: key.clone(),
            storage_class: kept_class(storage_class),
            parts: BTreeMap::new(),
        };
        state.uploads.insert(id.clone(), upload);
        ok(CreateMultipartUploadOutput {
            bucket: Some(bucket),
            key: Some(key),
            upload_id: Some(id),
            ..CreateMultipartUploadOutput::default()
        })
    }

    async fn upload_part(
        &self,
        mut req: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let (body, sent) = (req.input.body.take(), req.input.checksum_crc32.take());
        let part = collected(body, sent, &req).await?;
        let output = UploadPartOutput {
            e_tag: etag(&part),
            checksum_crc32: part.checksum.clone(),
            ..UploadPartOutput::default()
        };
        let mut state = self.state.lock().expect("no panic");
        let upload = state.uploads.get_mut(&req.input.upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
        upload.parts.insert(req.input.part_number, part);
        ok(output)
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = req.input;
        let listed = input.multipart_upload.and_then(|u| u.parts).unwrap_or_default();
        let upload = {
            let state = self.state.lock().expect("no panic");
            let upload = state.uploads.get(&input.upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
            upload.clone()
        };
        let upload = std::sync::Arc::new(upload);
        let parts = upload.clone();
        let assembling = tokio::task::spawn_blocking(move || assembled(&parts, &listed));
        let mut whole = assembling.await.expect("no panic")?;
        if let Some(sent) = input.checksum_crc32 {
            if sent != base64_of(whole.crc32) {
                return Err(s3_error!(BadDigest));
            }
            whole.checksum = Some(sent);
        }
        let output = CompleteMultipartUploadOutput {
            bucket: Some(upload.bucket.clone()),
            key: Some(upload.key.clone()),
            e_tag: etag(&whole),
            ..CompleteMultipartUploadOutput::default()
        };
        self.insert(&upload.bucket, upload.key.clone(), whole, input.if_none_match.as_ref())?;
        self.state.lock().expect("no panic").uploads.remove(&input.upload_id);
        ok(output)
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let removed = self.state.lock().expect("no panic").uploads.remove(&req.input.upload_id);
        removed.ok_or_else(|| s3_error!(NoSuchUpload))?;
        ok(AbortMultipartUploadOutput::default())
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let state = self.state.lock().expect("no panic");
        let of_bucket = state.uploads.iter().filter(|(_, u)| u.bucket == req.input.bucket);
        let uploads = of_bucket.map(|(id, upload)| MultipartUpload {
            key: Some(upload.key.clone()),
            upload_id: Some(id.clone()),
            ..MultipartUpload::default()
        });
        ok(ListMultipartUploadsOutput {
            uploads: Some(uploads.collect()),
            ..ListMultipartUploadsOutput::default()
        })
    }
}

/// The object of an upload, from its parts in the order that they are listed, as S3 checks them.
fn assembled(upload: &Upload, listed: &[CompletedPart]) -> S3Result<Object> {
    let mut bytes = Vec::new();
    let mut digests = Vec::new();
    let mut before = 0;
    let mut crc32 = crc32fast::Hasher::new();
    for (i, part) in listed.iter().enumerate() {
        let number = part.part_number.unwrap_or_default();
        let found = upload.parts.get(&number).ok_or_else(|| s3_error!(InvalidPart))?;
        if part.e_tag.as_ref().map(ETag::value) != Some(&found.etag) {
            return Err(s3_error!(InvalidPart));
        }
        if number <= before {
            return Err(s3_error!(InvalidPartOrder));
        }
        if i + 1 < listed.len() && found.bytes.len() < PART_MIN {
            return Err(S3Error::with_message(s3s::S3ErrorCode::EntityTooSmall, "part too small"));
        }
        before = number;
        bytes.extend_from_slice(&found.bytes);
        let digest = (0..found.etag.len()).step_by(2);
        digests.extend(digest.filter_map(|i| u8::from_str_radix(&found.etag[i..i + 2], 16).ok()));
        crc32.combine(&crc32fast::Hasher::new_with_initial_len(found.crc32, found.bytes.len() as u64));
    }
    if listed.is_empty() {
        return Err(s3_error!(MalformedXML));
    }
    let etag = format!("{}-{}", hex(&Md5::digest(&digests)), listed.len());
    let storage_class = upload.storage_class.clone();
    let crc32 = crc32.finalize();
    Ok(Object {
        bytes: bytes.into(),
        etag,
        checksum: None,
        crc32,
        storage_class,
        is_tiered_away: false,
        restored_at: None,
    })
}
