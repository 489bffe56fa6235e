//! The body of a request, as it arrives: in pieces of any size, perhaps compressed.

use std::io::{self, Write};

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use flate2::write::GzDecoder;
use futures_util::StreamExt;
use govc_git::wire::Service;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use super::answer::Refused;
use crate::git_service::input::{Input, InputError};

/// Compressed bytes that are inflated at once: they become at most about a thousand times as many.
const INFLATE_BYTES: usize = 4 << 10;

/// The body of a request.
pub(crate) struct RequestBody {
    stream: BodyDataStream,
    gzip: Option<Gzip>,
}

struct Gzip {
    decoder: GzDecoder<Vec<u8>>,
    /// Arrived, and not inflated yet.
    waiting: Bytes,
    ended: bool,
}

impl RequestBody {
    /// The body of a request to `service`.
    pub(crate) fn of(
        headers: &HeaderMap,
        body: Body,
        service: Service,
    ) -> Result<RequestBody, Refused> {
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or(""));
        let wanted = match service {
            Service::UploadPack => "application/x-git-upload-pack-request",
            Service::ReceivePack => "application/x-git-receive-pack-request",
        };
        let found = text(CONTENT_TYPE).unwrap_or("nothing");
        let found = found.split(';').next().unwrap_or("").trim();
        if !found.eq_ignore_ascii_case(wanted) {
            return Err(Refused::MediaType(format!("send {wanted}, not {found}")));
        }
        let gzip = match text(CONTENT_ENCODING).map(str::trim) {
            None | Some("" | "identity") => None,
            Some(coding)
                if ["gzip", "x-gzip"]
                    .iter()
                    .any(|name| coding.eq_ignore_ascii_case(name)) =>
            {
                Some(Gzip {
                    decoder: GzDecoder::new(Vec::new()),
                    waiting: Bytes::new(),
                    ended: false,
                })
            }
            Some(other) => {
                return Err(Refused::MediaType(format!(
                    "the content coding {other:?} is not understood: send gzip, or none"
                )));
            }
        };
        let stream = body.into_data_stream();
        Ok(RequestBody { stream, gzip })
    }

    /// Nothing arrives any more.
    fn end(&mut self) -> Result<Option<Bytes>, InputError> {
        if let Some(gzip) = self.gzip.as_mut().filter(|gzip| !gzip.ended) {
            gzip.ended = true;
            gzip.decoder.try_finish().map_err(InputError::NotGzip)?;
            let rest = std::mem::take(gzip.decoder.get_mut());
            if !rest.is_empty() {
                return Ok(Some(rest.into()));
            }
        }
        Ok(None)
    }
}

impl Input for RequestBody {
    /// The next piece, inflated.
    async fn next(&mut self) -> Result<Option<Bytes>, InputError> {
        loop {
            if let Some(gzip) = &mut self.gzip
                && let Some(piece) = gzip.inflate().map_err(InputError::NotGzip)?
            {
                return Ok(Some(piece));
            }
            let arrived = match self.stream.next().await {
                Some(arrived) => arrived.map_err(|error| InputError::CutOff(error.into()))?,
                None => return self.end(),
            };
            match &mut self.gzip {
                Some(gzip) => gzip.waiting = arrived,
                None if arrived.is_empty() => {}
                None => return Ok(Some(arrived)),
            }
        }
    }
}

impl Gzip {
    /// Inflates some of what waits.
    fn inflate(&mut self) -> io::Result<Option<Bytes>> {
        while !self.waiting.is_empty() {
            let some = self.waiting.split_to(self.waiting.len().min(INFLATE_BYTES));
            let mut rest = &some[..];
            while !rest.is_empty() {
                let taken = self.decoder.write(rest)?;
                if taken == 0 {
                    let what = "there are bytes behind its end";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, what));
                }
                rest = &rest[taken..];
            }
            if !self.decoder.get_ref().is_empty() {
                return Ok(Some(std::mem::take(self.decoder.get_mut()).into()));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use futures_util::stream;
    use http::HeaderValue;

    use super::*;

    fn headers(coding: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-git-upload-pack-request"),
        );
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
        headers
    }

    async fn read(coding: &'static str, pieces: &[&[u8]]) -> Result<Vec<u8>, String> {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| Ok::<_, io::Error>(Bytes::copy_from_slice(piece)))
            .collect();
        let body = Body::from_stream(stream::iter(pieces));
        let body = RequestBody::of(&headers(coding), body, Service::UploadPack);
        let mut body = body.map_err(|_| "refused".to_owned())?;
        let mut all = Vec::new();
        while let Some(piece) = body.next().await.map_err(|error| error.to_string())? {
            assert!(!piece.is_empty());
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn gzip_is_inflated_however_it_is_cut() {
        let text: Vec<u8> = (0..200_000u32)
            .flat_map(|n| (n % 97).to_le_bytes())
            .collect();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&text).unwrap();
        let packed = encoder.finish().unwrap();
        for size in [1, 7, 10_000, packed.len()] {
            let pieces: Vec<&[u8]> = packed.chunks(size).collect();
            assert_eq!(read("gzip", &pieces).await.unwrap(), text);
        }
        let cut = &packed[..packed.len() - 9];
        assert!(
            read("x-gzip", &[cut])
                .await
                .unwrap_err()
                .contains("not gzip")
        );
        assert!(
            read("gzip", &[b"plain"])
                .await
                .unwrap_err()
                .contains("not gzip")
        );
    }

    #[tokio::test]
    async fn what_is_not_compressed_is_passed_on() {
        assert_eq!(
            read("identity", &[b"00", b"", b"00"]).await.unwrap(),
            b"0000"
        );
        assert_eq!(read("br", &[b"0000"]).await.unwrap_err(), "refused");
    }
}
