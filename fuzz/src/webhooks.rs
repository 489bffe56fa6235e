//! Where webhooks are, and what policy hooks answer.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use govc_server::fuzzing;

/// An address, and networks that may be called, a line each: what is called is HTTP, and no address
/// of this machine or its neighbours that was not allowed.
pub(crate) fn webhook_url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut lines = text.lines().map(str::to_owned);
    let url = lines.next().unwrap_or_default();
    let networks: Vec<String> = lines.collect();
    let Ok((url, literal)) = fuzzing::webhook_url(&url, &networks) else {
        return;
    };
    assert!(url.starts_with("http://") || url.starts_with("https://"));
    assert!(fuzzing::webhook_url(&url, &networks).is_ok_and(|(same, _)| same == url));
    if let (Some(literal), true) = (literal, networks.is_empty()) {
        assert!(!is_near(literal), "{literal}");
    }
}

/// What std knows of addresses that are not anybody's.
fn is_near(address: IpAddr) -> bool {
    let is_near_v4 = |address: Ipv4Addr| {
        address.is_private()
            || address.is_loopback()
            || address.is_link_local()
            || address.is_unspecified()
            || address.is_broadcast()
            || address.is_multicast()
            || address.is_documentation()
    };
    match address {
        IpAddr::V4(address) => is_near_v4(address),
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || address.to_ipv4_mapped().is_some_and(is_near_v4)
        }
    }
}

/// An HTTP status and a body: whoever refuses says so in a sentence that can be shown.
pub(crate) fn verdict(data: &[u8]) {
    let Some((status, body)) = data.split_first_chunk::<2>() else {
        return;
    };
    let status = u16::from_be_bytes(*status);
    let said = fuzzing::verdict(status, Bytes::copy_from_slice(body));
    match said {
        Some(Ok(())) => assert!((200..300).contains(&status)),
        Some(Err(message)) => {
            assert!((200..500).contains(&status) && !message.is_empty());
            assert!(message.chars().count() <= 2000);
            assert!(!message.contains(|c: char| c.is_control() && c != '\n'));
        }
        None => assert!(!(200..300).contains(&status) && !(400..500).contains(&status)),
    }
}
