//! Which representation a client would rather have (RFC 9110, section 12.5.1).

use http::{HeaderMap, header};

/// Whether the client asks for `media` by its name, and for JSON not more.
pub fn prefers(headers: &HeaderMap, media: &str) -> bool {
    let mut wanted = 0.0;
    let mut json = 0.0;
    for value in headers.get_all(header::ACCEPT) {
        for item in value.to_str().unwrap_or_default().split(',') {
            let mut parts = item.split(';').map(str::trim);
            let named = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts
                .find_map(|part| part.strip_prefix("q=")?.trim().parse::<f32>().ok())
                .unwrap_or(1.0);
            if named == media {
                wanted = weight;
            } else if named == "application/json" {
                json = weight;
            }
        }
    }
    wanted > 0.0 && wanted >= json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_sent_to_who_asks_for_them() {
        let check = |accept: &str| {
            let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]);
            prefers(&headers, "application/octet-stream")
        };
        assert!(check("application/octet-stream"));
        assert!(check("Application/Octet-Stream; q=0.5, text/plain"));
        assert!(check("application/octet-stream, application/json;q=0.9"));
        assert!(!check("*/*"));
        assert!(!check("application/json"));
        assert!(!check("application/json, application/octet-stream;q=0.1"));
        assert!(!check("application/octet-stream;q=0"));
        assert!(!prefers(&HeaderMap::new(), "application/octet-stream"));
    }
}
