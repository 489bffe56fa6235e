//! The first words of a service: what it can do, and in the original protocol all refs.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use govc_engine::pool::PoolError;
use govc_engine::repository::RealityOf;
use govc_engine::repository::listings::Listing;
use govc_engine::work::View;
use govc_engine::work::hidden::HiddenRefs;
use govc_engine::work::upload::shown_refs;
use govc_engine::{RefName, Repository, Snapshot, Target};
use govc_git::ObjectId;
use govc_git::wire::advertise::{self, RefAdvertisement};
use govc_git::wire::offers::{Offers, PushOffers};
use govc_git::wire::upload;
use govc_git::wire::{ProtocolVersion, Service};

use super::{Failure, aside};
use crate::app::error::AppError;

/// The advertisement of `service` behind `banner`, made anew only where refs have changed.
pub(crate) async fn write(
    mut banner: Vec<u8>,
    repository: &Arc<Repository>,
    service: Service,
    version: ProtocolVersion,
    offers: Offers,
) -> Result<Bytes, Failure> {
    let version = match (service, version) {
        (Service::UploadPack, ProtocolVersion::V2) => {
            advertise::write_v2(&mut banner, repository.pool().format(), &offers);
            return Ok(banner.into());
        }
        // Version 2 has no push: such a client is answered in the original version.
        (Service::ReceivePack, ProtocolVersion::V2) => ProtocolVersion::V0,
        (_, version) => version,
    };
    let snapshot = repository.snapshot();
    let asked = Listing::Advertisement {
        service,
        version,
        offers,
        banner,
    };
    if let Some(answer) = repository.listing(&snapshot, &asked) {
        return Ok(answer);
    }
    let many = snapshot.refs.len() > aside::REFS_MAX;
    let repository = Arc::clone(repository);
    let written = aside::run(many, move || {
        let view = View::of_snapshot(&repository, &snapshot);
        let around = repository.reality().and_then(RealityOf::made_in);
        let mut out = Vec::new();
        if let Listing::Advertisement { banner, offers, .. } = &asked {
            out.extend_from_slice(banner);
            match service {
                Service::UploadPack => upload_pack(&mut out, &view, &snapshot, version, offers)?,
                Service::ReceivePack => {
                    let nonce = offers.push_nonce.clone();
                    receive_pack(&mut out, &view, &snapshot, version, around, nonce)?;
                }
            }
        }
        let answer = Bytes::from(out);
        repository.keep_listing(&snapshot, asked, &answer);
        Ok::<_, PoolError>(answer)
    });
    Ok(written.await?.map_err(AppError::internal)?)
}

/// All refs but HEAD.
fn receive_pack(
    out: &mut Vec<u8>,
    view: &View,
    snapshot: &Snapshot,
    version: ProtocolVersion,
    around: Option<Arc<Repository>>,
    push_nonce: Option<String>,
) -> Result<(), PoolError> {
    let format = view.pool.format();
    let settings = &snapshot.record.settings;
    let offers = PushOffers {
        atomic: settings.atomic_pushes,
        push_options: settings.push_options,
        push_nonce,
    };
    let capabilities = advertise::receive_pack_capabilities(format, &offers);
    let mut refs = RefAdvertisement::begin(out, version, format, capabilities);
    let hidden = HiddenRefs::from_pushes(settings);
    shown_refs(view, hidden, &[b"refs/"], false, |shown| {
        refs.write(out, shown);
    })?;
    tips_around(view, snapshot, around, |id| refs.write_have(out, id));
    refs.end(out);
    Ok(())
}

/// For a reality: what the repository that it was made in has by now, and no ref of its own names.
/// Who pushes what was made on that need not send it.
fn tips_around(
    view: &View,
    snapshot: &Snapshot,
    made_in: Option<Arc<Repository>>,
    mut write: impl FnMut(&ObjectId),
) {
    /// Each is some bytes to everybody who pushes.
    const TIPS_MAX: usize = 256;
    let Some(made_in) = made_in else { return };
    let there = made_in.snapshot();
    let hidden = HiddenRefs::from_pushes(&snapshot.record.settings);
    let mut known: HashSet<ObjectId> = view.refs.objects().into_iter().collect();
    let shown = there.refs.iter();
    let shown = shown.filter(|(name, _)| !hidden.hides(name.as_bytes()));
    let tips = shown.filter_map(|(_, target)| match target {
        Target::At(id) => Some(*id),
        _ => None,
    });
    tips.filter(|id| known.insert(*id))
        .take(TIPS_MAX)
        .for_each(|id| write(&id));
}

/// All refs, HEAD first, and what is under annotated tags.
fn upload_pack(
    out: &mut Vec<u8>,
    view: &View,
    snapshot: &Snapshot,
    version: ProtocolVersion,
    offers: &Offers,
) -> Result<(), PoolError> {
    let format = view.pool.format();
    let hidden = HiddenRefs::of(&snapshot.record.settings);
    let head = snapshot.head().and(snapshot.refs.head_branch());
    let head = head
        .map(RefName::as_bytes)
        .filter(|name| !hidden.hides(name));
    let capabilities = upload::capabilities(format, head, offers);
    let mut refs = RefAdvertisement::begin(out, version, format, capabilities);
    shown_refs(view, hidden, &[], true, |shown| {
        refs.write(out, shown);
    })?;
    refs.end(out);
    Ok(())
}
