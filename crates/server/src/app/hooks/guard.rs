//! Which addresses the server calls of its own accord, when strangers say where to.
//!
//! A webhook's address is checked where the connection is made, on what it *is* and not on how it
//! is spelled: whatever a name resolves to, in whichever notation a literal is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use super::client::CallError;

/// Networks that may be called though they are not public.
#[derive(Debug, Clone, Default)]
pub struct Networks(Vec<(IpAddr, u8)>);

impl Networks {
    /// Reads `10.0.0.0/8`, `fd00::/8`, or single addresses.
    ///
    /// # Errors
    /// The text that is no network.
    pub fn parse(texts: &[String]) -> Result<Networks, String> {
        let network = |text: &String| {
            let (address, bits) = match text.split_once('/') {
                Some((address, bits)) => (address, Some(bits)),
                None => (text.as_str(), None),
            };
            let address: IpAddr = address.trim().parse().ok()?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Some(most), |bits| bits.trim().parse().ok())?;
            (bits <= most).then_some((address, bits))
        };
        let all = texts
            .iter()
            .map(|text| network(text).ok_or_else(|| text.clone()));
        all.collect::<Result<_, _>>().map(Networks)
    }

    /// Whether `address` may be called.
    pub fn allow(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address) || self.0.iter().any(|network| contains(*network, address))
    }
}

fn contains((network, bits): (IpAddr, u8), address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            (network.to_bits() ^ address.to_bits()) & mask == 0
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            (network.to_bits() ^ address.to_bits()) & mask == 0
        }
        _ => false,
    }
}

/// Whether `address` is one of the public internet's: of IANA's special-purpose registries
/// (RFC 6890 and what came after) nothing is.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || a == 127
        || a >= 224
        || address.is_private()
        || address.is_link_local()
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || (a == 198 && b == 51 && c == 100)
        || (a == 203 && b == 0 && c == 113))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // NAT64, and 6to4: what they lead to counts.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x2002, high, low, ..] => embedded(high, low),
        // Teredo and its neighbours, ORCHID; documentation.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        // Only this was ever given to anybody: neither local nor multicast nor mapped ones.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// Takes `text` for the address of a webhook.
///
/// # Errors
/// [`CallError::Url`] when it is none; [`CallError::NotPublic`] when it is a literal that is not
/// called.
pub fn parse(text: &str, networks: &Networks) -> Result<Url, CallError> {
    let url = Url::parse(text).map_err(|_| CallError::Url("it is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(CallError::Url("its scheme is not http or https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(CallError::Url("it has a user or a password in it"));
    }
    match literal(&url) {
        Some(address) if !networks.allow(address) => Err(CallError::NotPublic(address)),
        _ if url.host().is_none() => Err(CallError::Url("it names no host")),
        _ => Ok(url),
    }
}

/// The address that the host is, however it is written: `Url` knows `0x7f.1` and `2130706433` too.
pub fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_the_public_internet_is_not_called() {
        for inside in [
            "127.0.0.1",
            "127.1.2.3",
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
        for outside in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "2606:4700:4700::1111",
            "2001:4860:4860::8888",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
        ] {
            assert!(is_public(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn named_networks_are_called_all_the_same() {
        let allowed = ["10.1.0.0/16", "fd00::/8", "127.0.0.1"].map(str::to_owned);
        let networks = Networks::parse(&allowed).unwrap();
        for inside in [
            "10.1.2.3",
            "fd12::1",
            "127.0.0.1",
            "::ffff:127.0.0.1",
            "8.8.8.8",
        ] {
            assert!(networks.allow(inside.parse().unwrap()), "{inside}");
        }
        for other in ["10.2.0.1", "127.0.0.2", "fc00::1", "169.254.169.254"] {
            assert!(!networks.allow(other.parse().unwrap()), "{other}");
        }
        let all = Networks::parse(&["0.0.0.0/0".to_owned(), "::/0".to_owned()]).unwrap();
        assert!(all.allow("127.0.0.1".parse().unwrap()));
        assert!(all.allow("::1".parse().unwrap()));
        for wrong in ["", "10.0.0.0/33", "x/8", "1.2.3.4/-1", "::/129"] {
            assert!(Networks::parse(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }
}
