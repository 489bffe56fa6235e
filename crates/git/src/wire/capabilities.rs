//! Lists of capabilities: words separated by spaces, some of them with `=value`.

/// What one side can do or asks for: `report-status side-band-64k agent=git/2.39.5`.
///
/// Clients put spaces at either end (libgit2) and an LF behind (libgit2, isomorphic-git).
#[derive(Debug, Clone, Copy)]
pub struct Capabilities<'a>(&'a [u8]);

impl<'a> Capabilities<'a> {
    /// Takes what stands behind the NUL of a first line, or behind the id of a first `want`.
    pub fn new(list: &'a [u8]) -> Capabilities<'a> {
        Capabilities(list)
    }

    /// The words, in order.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        self.0
            .split(|byte| matches!(byte, b' ' | b'\n'))
            .filter(|word| !word.is_empty())
    }

    /// Whether the word `name` is there, without a value.
    pub fn has(self, name: &[u8]) -> bool {
        self.iter().any(|word| word == name)
    }

    /// What stands behind the first `name=`.
    pub fn value(self, name: &[u8]) -> Option<&'a [u8]> {
        self.iter()
            .find_map(|word| word.strip_prefix(name)?.strip_prefix(b"="))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_and_lf_at_the_ends_are_nothing() {
        let list = Capabilities::new(b" report-status  agent=x/1 \n");
        assert!(list.has(b"report-status"));
        assert!(!list.has(b"report"));
        assert!(!list.has(b"agent"));
        assert_eq!(list.value(b"agent"), Some(&b"x/1"[..]));
        assert_eq!(list.iter().count(), 2);
    }
}
