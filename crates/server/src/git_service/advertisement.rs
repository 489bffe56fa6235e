//! The first words of a service: what it can do, and in the original protocol all refs.

use std::sync::Arc;

use govc_engine::pool::PoolError;
use govc_engine::work::View;
use govc_engine::work::hidden::HiddenRefs;
use govc_engine::work::upload::shown_refs;
use govc_engine::{RefName, Repository};
use govc_git::wire::advertise::{self, RefAdvertisement};
use govc_git::wire::offers::Offers;
use govc_git::wire::upload;
use govc_git::wire::{ProtocolVersion, Service};

use super::{Failure, aside};
use crate::app::error::AppError;

/// Writes the advertisement of `service` behind `out`.
pub(crate) async fn write(
    mut out: Vec<u8>,
    repository: &Arc<Repository>,
    service: Service,
    version: ProtocolVersion,
    offers: Offers,
) -> Result<Vec<u8>, Failure> {
    if service == Service::UploadPack && version == ProtocolVersion::V2 {
        advertise::write_v2(&mut out, repository.pool().format(), &offers);
        return Ok(out);
    }
    let many = repository.snapshot().refs.len() > aside::REFS_MAX;
    let repository = Arc::clone(repository);
    let written = aside::run(many, move || {
        match service {
            Service::UploadPack => upload_pack(&mut out, &repository, version, &offers)?,
            Service::ReceivePack => receive_pack(&mut out, &repository, version)?,
        }
        Ok::<_, PoolError>(out)
    });
    Ok(written.await?.map_err(AppError::internal)?)
}

/// All refs but HEAD. Version 2 has no push: such a client is answered in the original version.
fn receive_pack(
    out: &mut Vec<u8>,
    repository: &Arc<Repository>,
    version: ProtocolVersion,
) -> Result<(), PoolError> {
    let version = match version {
        ProtocolVersion::V1 => ProtocolVersion::V1,
        ProtocolVersion::V0 | ProtocolVersion::V2 => ProtocolVersion::V0,
    };
    let format = repository.pool().format();
    let capabilities = advertise::receive_pack_capabilities(format);
    let mut refs = RefAdvertisement::begin(out, version, format, capabilities);
    let snapshot = repository.snapshot();
    let hidden = HiddenRefs::of(&snapshot.record.settings);
    let view = View::of(repository);
    shown_refs(&view, hidden, &[b"refs/"], false, |shown| {
        refs.write(out, shown);
    })?;
    refs.end(out);
    Ok(())
}

/// All refs, HEAD first, and what is under annotated tags.
fn upload_pack(
    out: &mut Vec<u8>,
    repository: &Arc<Repository>,
    version: ProtocolVersion,
    offers: &Offers,
) -> Result<(), PoolError> {
    let format = repository.pool().format();
    let snapshot = repository.snapshot();
    let hidden = HiddenRefs::of(&snapshot.record.settings);
    let head = snapshot.head().and(snapshot.refs.head_branch());
    let head = head
        .map(RefName::as_bytes)
        .filter(|name| !hidden.hides(name));
    let capabilities = upload::capabilities(format, head, offers);
    let mut refs = RefAdvertisement::begin(out, version, format, capabilities);
    shown_refs(&View::of(repository), hidden, &[], true, |shown| {
        refs.write(out, shown);
    })?;
    refs.end(out);
    Ok(())
}
