//! Faults on request, in front of the store.

use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::{Method, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use s3s::service::S3Service;
use s3s::{Body, HttpError, StdError};

use crate::Tally;

/// What goes wrong, and how often: rates are shares of requests, from 0 to 1.
#[derive(Debug, Clone, Args)]
pub(crate) struct FaultArgs {
    /// Milliseconds added to every request
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,

    /// Share of requests, from 0 to 1, answered with 503 Slow Down
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    slow_down: f64,

    /// Share of requests answered with 500
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    internal_error: f64,

    /// Share of requests that are performed and whose answer is lost: the connection is closed
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    lost_answer: f64,

    /// Share of requests that are never answered
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    hang: f64,

    /// Share of bodies of objects that are cut short
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    cut: f64,

    /// Share of bodies of whole objects with a byte changed; S3 has no checksums of ranges
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    corrupt: f64,

    /// Answer requests signed for another region as S3 does: with a redirect that names this one
    #[arg(long)]
    region: Option<String>,

    /// Seed of the dice
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn share(text: &str) -> Result<f64, String> {
    let found = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    found.ok_or_else(|| format!("expected a share of requests from 0 to 1, found `{text}`"))
}

/// Throws dice for each request.
#[derive(Debug)]
pub(crate) struct Faults {
    args: FaultArgs,
    dice: AtomicU64,
    tally: Mutex<Tally>,
}

impl Faults {
    pub(crate) fn new(args: FaultArgs) -> Self {
        Self { dice: AtomicU64::new(args.seed << 32), args, tally: Mutex::default() }
    }

    /// Whether a fault of this rate befalls.
    fn befalls(&self, rate: f64) -> bool {
        if rate == 0.0 {
            return false;
        }
        // SplitMix64.
        let mut z = self.dice.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / ((1_u64 << 53) as f64) < rate
    }

    pub(crate) async fn answer(
        &self,
        service: &S3Service,
        request: Request<Incoming>,
    ) -> Result<Response<Faulty>, HttpError> {
        if request.uri().path() == "/_tally" {
            return Ok(Response::new(Faulty::whole(Body::from(self.tally_text()))));
        }
        let is_range = request.headers().contains_key("range");
        let is_object = request.uri().path().trim_matches('/').contains('/');
        let method = request.method().clone();
        self.count(&method, is_object, request.uri().query().unwrap_or_default());
        if self.args.latency_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.args.latency_ms)).await;
        }
        if let Some(elsewhere) = self.redirect(&request) {
            return Ok(elsewhere);
        }
        if self.befalls(self.args.hang) {
            std::future::pending::<()>().await;
        }
        if self.befalls(self.args.slow_down) {
            return Ok(failure(
                StatusCode::SERVICE_UNAVAILABLE,
                "SlowDown",
                "Please reduce your request rate.",
            ));
        }
        if self.befalls(self.args.internal_error) {
            return Ok(failure(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalError",
                "We encountered an error.",
            ));
        }
        let response = service.call(request.map(Body::from)).await?;
        if self.befalls(self.args.lost_answer) {
            return Err(HttpError::new("the answer is lost".into()));
        }
        let is_body = method == Method::GET && is_object && response.status().is_success();
        let fault = if is_body && self.befalls(self.args.cut) {
            Fault::Cut
        } else if is_body && !is_range && self.befalls(self.args.corrupt) {
            Fault::Corrupt(self.dice.load(Ordering::Relaxed) as usize)
        } else {
            Fault::None
        };
        Ok(response.map(|inner| Faulty { inner, fault }))
    }

    /// The answer of S3 to a request for a bucket of another region.
    fn redirect(&self, request: &Request<Incoming>) -> Option<Response<Faulty>> {
        let region = self.args.region.as_ref()?;
        let signed = request.headers().get("authorization")?.to_str().ok()?;
        if signed.contains(&format!("/{region}/s3/")) {
            return None;
        }
        let message =
            "The bucket you are attempting to access must be addressed using the specified endpoint.";
        let mut response = failure(StatusCode::MOVED_PERMANENTLY, "PermanentRedirect", message);
        response.headers_mut().insert("x-amz-bucket-region", region.parse().ok()?);
        Some(response)
    }

    fn count(&self, method: &Method, is_object: bool, query: &str) {
        let what = match (method.as_str(), is_object) {
            ("GET", false) => "LIST".to_owned(),
            ("POST", _) if query.contains("restore") => "RESTORE".to_owned(),
            ("POST", _) if query.contains("uploads") => "CREATE".to_owned(),
            ("POST", _) if query.contains("uploadId") => "COMPLETE".to_owned(),
            ("PUT", _) if query.contains("partNumber") => "PART".to_owned(),
            ("DELETE", _) if query.contains("uploadId") => "ABORT".to_owned(),
            (method, _) => method.to_owned(),
        };
        *self.tally.lock().expect("no panic").entry(what).or_default() += 1;
    }

    fn tally_text(&self) -> String {
        let tally = self.tally.lock().expect("no panic");
        let pairs: Vec<String> = tally.iter().map(|(k, n)| format!("\"{k}\": {n}")).collect();
        format!("{{{}}}", pairs.join(", "))
    }
}

fn failure(status: StatusCode, code: &str, message: &str) -> Response<Faulty> {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    let mut response = Response::new(Faulty::whole(Body::from(xml)));
    *response.status_mut() = status;
    response
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Ends in the midst of the body.
    Cut,
    /// Changes a byte of the body, at this place of its first frame, modulo its length.
    Corrupt(usize),
}

/// A body that may go wrong.
pub(crate) struct Faulty {
    inner: Body,
    fault: Fault,
}

impl Faulty {
    fn whole(inner: Body) -> Self {
        Self { inner, fault: Fault::None }
    }
}

impl http_body::Body for Faulty {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        if self.fault == Fault::Cut {
            self.fault = Fault::None;
            // Half of the first frame goes out; then the connection breaks.
            return match Pin::new(&mut self.inner).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.inner = Body::http_body(Broken);
                    let bytes = frame.into_data().unwrap_or_default();
                    Poll::Ready(Some(Ok(Frame::data(bytes.slice(..bytes.len() / 2)))))
                }
                other => other,
            };
        }
        let fault = std::mem::replace(&mut self.fault, Fault::None);
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        let Fault::Corrupt(place) = fault else { return polled };
        polled.map_ok(|frame| match frame.into_data() {
            Ok(bytes) if !bytes.is_empty() => {
                let mut changed = bytes.to_vec();
                let len = changed.len();
                changed[place.wrapping_mul(7919) % len] ^= 0x20;
                Frame::data(changed.into())
            }
            Ok(bytes) => Frame::data(bytes),
            Err(frame) => frame,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.fault == Fault::None && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A body that breaks at once.
struct Broken;

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        Poll::Ready(Some(Err("cut short".into())))
    }
}
