//! `GET …/info/refs?service=…`: what the server can do, and in the original protocol all refs.

use std::sync::Arc;

use axum::response::Response;
use govc_engine::Repository;
use govc_git::wire::offers::Offers;
use govc_git::wire::{ProtocolVersion, Service, advertise};

use super::answer::{self, Refused};
use crate::git_service::advertisement;

/// The service in a query string.
pub(super) fn service(query: Option<&str>) -> Result<Service, Refused> {
    let mut pairs = query.unwrap_or_default().split('&');
    let name = pairs.find_map(|pair| pair.strip_prefix("service="));
    name.and_then(Service::from_name).ok_or(Refused::Service)
}

/// The advertisement of `service`. Version 2 has no banner before it, as git's own server.
pub(super) async fn answer(
    repository: &Arc<Repository>,
    service: Service,
    version: ProtocolVersion,
    offers: Offers,
) -> Result<Response, Refused> {
    let mut banner = Vec::new();
    if service == Service::ReceivePack || version != ProtocolVersion::V2 {
        advertise::write_http_banner(&mut banner, service);
    }
    let out = advertisement::write(banner, repository, service, version, offers).await?;
    let content_type = match service {
        Service::UploadPack => "application/x-git-upload-pack-advertisement",
        Service::ReceivePack => "application/x-git-receive-pack-advertisement",
    };
    Ok(answer::answer(content_type, out))
}
