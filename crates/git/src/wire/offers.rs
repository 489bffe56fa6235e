//! What upload-pack and receive-pack offer beyond what every server does.

/// What upload-pack offers. What it does not offer it does not advertise, and refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offers {
    /// Partial clones (`uploadpack.allowFilter`).
    pub filter: bool,
    /// Wants by the names of refs (`uploadpack.allowRefInWant`).
    pub ref_in_want: bool,
    /// Answers that are in side-band lines from their first line on
    /// (`uploadpack.allowSidebandAll`).
    pub sideband_all: bool,
    /// Sizes of objects.
    pub object_info: bool,
    /// Lists of bundles to begin a clone from.
    pub bundle_uri: bool,
    /// What this conversation is called in our log (`transfer.advertiseSID`), where clients are to
    /// know it: printable, without spaces.
    pub session_id: Option<String>,
    /// Clients of version 2 hear of a HEAD whose branch does not exist yet (`lsrefs.unborn`).
    pub unborn_head: bool,
    /// Clients of versions 0 and 1 may want what hidden refs name
    /// (`uploadpack.allowTipSHA1InWant`).
    pub tip_wants: bool,
    /// Clients of versions 0 and 1 may want all that refs reach
    /// (`uploadpack.allowReachableSHA1InWant`).
    pub reachable_wants: bool,
    /// What a signed push is to repeat, where receive-pack takes any (`receive.certNonceSeed`).
    /// It is made anew for each conversation.
    pub push_nonce: Option<String>,
}

/// What receive-pack offers. What it does not offer it does not advertise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushOffers {
    /// Pushes of which all refs are moved, or none (`receive.advertiseAtomic`).
    pub atomic: bool,
    /// Pushes that come with options (`receive.advertisePushOptions`).
    pub push_options: bool,
    /// Pushes that are signed, with this nonce in what is signed (`receive.certNonceSeed`).
    pub push_nonce: Option<String>,
}

impl Default for Offers {
    /// All that needs no configuration.
    fn default() -> Offers {
        Offers {
            filter: true,
            ref_in_want: true,
            sideband_all: true,
            object_info: true,
            bundle_uri: false,
            session_id: None,
            unborn_head: true,
            tip_wants: true,
            reachable_wants: true,
            push_nonce: None,
        }
    }
}
