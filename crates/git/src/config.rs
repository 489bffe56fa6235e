//! Git's configuration syntax (git-config(1), "Syntax"): `.gitmodules`, and the `config` of a
//! repository. Includes are variables like others here.
//!
//! Git 2.39 reads a blob as signed bytes: a byte order mark is no mark, and 0xff is the end.

/// The text is no configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no configuration of git's")]
pub struct Malformed;

/// Takes a variable's name and its value.
pub type OnVariable<'a> = dyn FnMut(&[u8], Option<&[u8]>) + 'a;

/// Hands every variable in `text` to `on_variable`: its full name `section.subsection.key`, and
/// its value unless it stands there without `=`.
///
/// # Errors
/// [`Malformed`]; what stood before the mistake was handed on.
pub fn read(text: &[u8], on_variable: &mut OnVariable<'_>) -> Result<(), Malformed> {
    let mut reader = Reader {
        text,
        at: 0,
        ended: false,
    };
    let mut name = Vec::new();
    let mut section_length = 0;
    let mut in_comment = false;
    loop {
        match reader.next() {
            b'\n' if reader.ended => return Ok(()),
            b'\n' => in_comment = false,
            _ if in_comment => {}
            byte if is_space(byte) => {}
            b'#' | b';' => in_comment = true,
            b'[' => {
                name.clear();
                reader.section(&mut name)?;
                if name.is_empty() {
                    return Err(Malformed);
                }
                name.push(b'.');
                section_length = name.len();
            }
            byte if byte.is_ascii_alphabetic() => {
                name.truncate(section_length);
                name.push(byte.to_ascii_lowercase());
                let value = reader.variable(&mut name)?;
                on_variable(&name, value.as_deref());
            }
            _ => return Err(Malformed),
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    /// A newline was made up where the text ends.
    ended: bool,
}

impl Reader<'_> {
    /// The next byte; CR LF is one newline, and so is the end.
    fn next(&mut self) -> u8 {
        match self.take() {
            None => {
                self.ended = true;
                b'\n'
            }
            Some(b'\r') => {
                let before = self.at;
                match self.take() {
                    Some(b'\n') => return b'\n',
                    Some(_) => self.at = before,
                    // An end behind a CR is gone.
                    None => {}
                }
                b'\r'
            }
            Some(byte) => byte,
        }
    }

    fn take(&mut self) -> Option<u8> {
        const END: u8 = 0xff;
        let byte = *self.text.get(self.at)?;
        self.at += 1;
        (byte != END).then_some(byte)
    }

    /// What is behind `[`: `section]` or `section "subsection"]`.
    fn section(&mut self, name: &mut Vec<u8>) -> Result<(), Malformed> {
        loop {
            let byte = self.next();
            match byte {
                _ if self.ended => return Err(Malformed),
                b']' => return Ok(()),
                byte if is_space(byte) => return self.subsection(byte, name),
                byte if is_key(byte) || byte == b'.' => name.push(byte.to_ascii_lowercase()),
                _ => return Err(Malformed),
            }
        }
    }

    fn subsection(&mut self, space: u8, name: &mut Vec<u8>) -> Result<(), Malformed> {
        let mut byte = space;
        while is_space(byte) {
            if byte == b'\n' {
                return Err(Malformed);
            }
            byte = self.next();
        }
        if byte != b'"' {
            return Err(Malformed);
        }
        name.push(b'.');
        loop {
            match self.next() {
                b'\n' => return Err(Malformed),
                b'"' => break,
                b'\\' => match self.next() {
                    b'\n' => return Err(Malformed),
                    escaped => name.push(escaped),
                },
                byte => name.push(byte),
            }
        }
        if self.next() == b']' {
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    /// The rest of a key, whose first letter is in `name`, and its value.
    fn variable(&mut self, name: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Malformed> {
        let mut byte = self.next();
        while !self.ended && is_key(byte) {
            name.push(byte.to_ascii_lowercase());
            byte = self.next();
        }
        while matches!(byte, b' ' | b'\t') {
            byte = self.next();
        }
        match byte {
            b'\n' => Ok(None),
            b'=' => self.value().map(Some),
            _ => Err(Malformed),
        }
    }

    fn value(&mut self) -> Result<Vec<u8>, Malformed> {
        let mut value = Vec::new();
        let mut quoted = false;
        let mut in_comment = false;
        let mut spaces = 0usize;
        loop {
            let byte = self.next();
            match byte {
                b'\n' if quoted => return Err(Malformed),
                b'\n' => return Ok(value),
                _ if in_comment => continue,
                byte if is_space(byte) && !quoted => {
                    if !value.is_empty() {
                        spaces += 1;
                    }
                    continue;
                }
                b';' | b'#' if !quoted => {
                    in_comment = true;
                    continue;
                }
                _ => {}
            }
            value.resize(value.len() + spaces, b' ');
            spaces = 0;
            match byte {
                b'\\' => match self.next() {
                    b'\n' => {}
                    b't' => value.push(b'\t'),
                    b'b' => value.push(0x08),
                    b'n' => value.push(b'\n'),
                    escaped @ (b'\\' | b'"') => value.push(escaped),
                    _ => return Err(Malformed),
                },
                b'"' => quoted = !quoted,
                byte => value.push(byte),
            }
        }
    }
}
