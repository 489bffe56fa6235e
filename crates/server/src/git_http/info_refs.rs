//! `GET …/info/refs?service=…`: what the server can do, and in the original protocol all refs.

use std::sync::Arc;

use axum::response::Response;
use govc_engine::pool::PoolError;
use govc_engine::work::View;
use govc_engine::work::hidden::HiddenRefs;
use govc_engine::work::upload::shown_refs;
use govc_engine::{RefName, Repository};
use govc_git::wire::advertise::{self, RefAdvertisement};
use govc_git::wire::offers::Offers;
use govc_git::wire::upload;
use govc_git::wire::{ProtocolVersion, Service};

use super::answer::{self, Refused};
use super::aside;
use crate::app::error::AppError;

/// The service in a query string.
pub(super) fn service(query: Option<&str>) -> Result<Service, Refused> {
    let mut pairs = query.unwrap_or_default().split('&');
    let name = pairs.find_map(|pair| pair.strip_prefix("service="));
    name.and_then(Service::from_name).ok_or(Refused::Service)
}

/// The advertisement of `service`.
pub(super) async fn answer(
    repository: &Arc<Repository>,
    service: Service,
    version: ProtocolVersion,
    offers: Offers,
) -> Result<Response, Refused> {
    match service {
        Service::UploadPack => {
            let content_type = "application/x-git-upload-pack-advertisement";
            if version == ProtocolVersion::V2 {
                let mut out = Vec::new();
                advertise::write_v2(&mut out, repository.pool().format(), &offers);
                return Ok(answer::answer(content_type, out));
            }
            let many = repository.snapshot().refs.len() > aside::REFS_MAX;
            let repository = Arc::clone(repository);
            let out = aside::run(many, move || upload_pack(&repository, version, &offers)).await;
            Ok(answer::answer(
                content_type,
                out?.map_err(AppError::internal)?,
            ))
        }
        Service::ReceivePack => {
            let many = repository.snapshot().refs.len() > aside::REFS_MAX;
            let repository = Arc::clone(repository);
            let out = aside::run(many, move || receive_pack(&repository, version)).await;
            let out = out?.map_err(AppError::internal)?;
            let content_type = "application/x-git-receive-pack-advertisement";
            Ok(answer::answer(content_type, out))
        }
    }
}

/// All refs but HEAD. Version 2 has no push: such a client is answered in the original version.
fn receive_pack(
    repository: &Arc<Repository>,
    version: ProtocolVersion,
) -> Result<Vec<u8>, PoolError> {
    let version = match version {
        ProtocolVersion::V1 => ProtocolVersion::V1,
        ProtocolVersion::V0 | ProtocolVersion::V2 => ProtocolVersion::V0,
    };
    let format = repository.pool().format();
    let mut out = Vec::new();
    advertise::write_http_banner(&mut out, Service::ReceivePack);
    let capabilities = advertise::receive_pack_capabilities(format);
    let mut refs = RefAdvertisement::begin(&mut out, version, format, capabilities);
    let snapshot = repository.snapshot();
    let hidden = HiddenRefs::of(&snapshot.record.settings);
    let view = View::of(repository);
    shown_refs(&view, hidden, &[b"refs/"], false, |shown| {
        refs.write(&mut out, shown);
    })?;
    refs.end(&mut out);
    Ok(out)
}

/// All refs, HEAD first, and what is under annotated tags.
fn upload_pack(
    repository: &Arc<Repository>,
    version: ProtocolVersion,
    offers: &Offers,
) -> Result<Vec<u8>, PoolError> {
    let format = repository.pool().format();
    let snapshot = repository.snapshot();
    let hidden = HiddenRefs::of(&snapshot.record.settings);
    let head = snapshot.head().and(snapshot.refs.head_branch());
    let head = head
        .map(RefName::as_bytes)
        .filter(|name| !hidden.hides(name));
    let mut out = Vec::new();
    advertise::write_http_banner(&mut out, Service::UploadPack);
    let capabilities = upload::capabilities(format, head, offers);
    let mut refs = RefAdvertisement::begin(&mut out, version, format, capabilities);
    shown_refs(&View::of(repository), hidden, &[], true, |shown| {
        refs.write(&mut out, shown);
    })?;
    refs.end(&mut out);
    Ok(out)
}
