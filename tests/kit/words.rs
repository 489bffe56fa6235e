//! Lines of words, with quotes as a shell has them.

/// The words of `line`: parted by spaces; single and double quotes keep what is in them as it
/// stands.
///
/// # Panics
/// Where a quote is not closed: it is the story that is wrong.
pub fn split_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    assert!(quote.is_none(), "a quote is not closed in {line:?}");
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::split_words;

    #[test]
    fn quotes_keep_words_together() {
        assert_eq!(
            split_words(r#"git  -C ada commit -m 'a "b" c' "" x'y'z"#),
            ["git", "-C", "ada", "commit", "-m", "a \"b\" c", "", "xyz"]
        );
        assert!(split_words("  ").is_empty());
    }
}
