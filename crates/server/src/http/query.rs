//! The query, parameter by parameter: what nobody asks for is an error, not ignored.

use std::str::FromStr;

use super::path::decode;
use crate::app::error::AppError;

/// The parameters of a request. A handler takes those it knows, then says [`Query::finish`].
#[derive(Debug, Clone, Default)]
pub struct Query {
    given: Vec<(String, Vec<u8>)>,
    known: Vec<&'static str>,
}

impl Query {
    /// Takes a raw query apart: `a=1&b=%20&c`.
    ///
    /// # Errors
    /// [`AppError::Query`] when a parameter is given twice or its name is not text.
    pub fn parse(raw: Option<&str>) -> Result<Query, AppError> {
        let mut given: Vec<(String, Vec<u8>)> = Vec::new();
        for pair in raw
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
        {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = String::from_utf8(decode(&name.replace('+', " ")))
                .map_err(|_| AppError::query("", "a parameter's name is not UTF-8"))?;
            if given.iter().any(|(other, _)| *other == name) {
                let detail = format!("`{name}` is given twice");
                return Err(AppError::query(name, detail));
            }
            given.push((name, decode(&value.replace('+', " "))));
        }
        Ok(Query {
            given,
            known: Vec::new(),
        })
    }

    /// The bytes of a parameter.
    pub fn bytes(&mut self, name: &'static str) -> Option<Vec<u8>> {
        self.known.push(name);
        let at = self.given.iter().position(|(other, _)| other == name)?;
        Some(self.given.swap_remove(at).1)
    }

    /// A parameter that is text.
    ///
    /// # Errors
    /// [`AppError::Query`] when it is not UTF-8.
    pub fn text(&mut self, name: &'static str) -> Result<Option<String>, AppError> {
        self.bytes(name)
            .map(|bytes| {
                String::from_utf8(bytes)
                    .map_err(|_| AppError::query(name, format!("`{name}` is not UTF-8")))
            })
            .transpose()
    }

    /// A parameter that is a number.
    ///
    /// # Errors
    /// [`AppError::Query`] when it is not one.
    pub fn number<N: FromStr>(&mut self, name: &'static str) -> Result<Option<N>, AppError> {
        self.text(name)?
            .map(|text| {
                let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                plain.then(|| text.parse().ok()).flatten().ok_or_else(|| {
                    AppError::query(name, format!("`{name}` is a whole number, not {text:?}"))
                })
            })
            .transpose()
    }

    /// A parameter that is true or false; its name alone is true.
    ///
    /// # Errors
    /// [`AppError::Query`] when it is neither.
    pub fn flag(&mut self, name: &'static str) -> Result<bool, AppError> {
        match self.text(name)?.as_deref() {
            None | Some("false" | "0") => Ok(false),
            Some("" | "true" | "1") => Ok(true),
            Some(other) => Err(AppError::query(
                name,
                format!("`{name}` is true or false, not {other:?}"),
            )),
        }
    }

    /// As [`Query::flag`], for one that is true unless it is said to be false.
    ///
    /// # Errors
    /// As [`Query::flag`].
    pub fn flag_unless_false(&mut self, name: &'static str) -> Result<bool, AppError> {
        match self.given.iter().any(|(given, _)| given == name) {
            true => self.flag(name),
            false => {
                self.known.push(name);
                Ok(true)
            }
        }
    }

    /// Says that nobody knows anything more.
    ///
    /// # Errors
    /// [`AppError::Query`] when something was given that nobody took.
    pub fn finish(&self) -> Result<(), AppError> {
        let Some((name, _)) = self.given.first() else {
            return Ok(());
        };
        let detail = match name.as_str() {
            "workspace" | "reality" | "transaction" => {
                format!("`{name}`: what this asks for is the same inside and outside of one")
            }
            _ => {
                let nearest = self
                    .known
                    .iter()
                    .find(|known| strsim::damerau_levenshtein(name, known) <= 2);
                match nearest {
                    Some(known) => format!("unknown parameter `{name}`, did you mean `{known}`?"),
                    None => format!("unknown parameter `{name}`"),
                }
            }
        };
        Err(AppError::query(name.clone(), detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_is_taken_or_refused() {
        let mut query = Query::parse(Some("ref=a%2Fb&limit=5&recursive&at=x+y")).unwrap();
        assert_eq!(query.text("ref").unwrap().as_deref(), Some("a/b"));
        assert_eq!(query.number::<u64>("limit").unwrap(), Some(5));
        assert!(query.flag("recursive").unwrap());
        assert!(!query.flag("last_commit").unwrap());
        assert_eq!(query.text("at").unwrap().as_deref(), Some("x y"));
        query.finish().unwrap();

        let said = |raw: &str| {
            let mut query = Query::parse(Some(raw))?;
            query.text("ref")?;
            query.number::<u64>("limit")?;
            query.flag("recursive")?;
            query.finish()
        };
        for raw in [
            "a=1",
            "reff=1",
            "ref=1&ref=2",
            "limit=-1",
            "limit=",
            "limit=1.0",
            "limit=+1",
            "limit=99999999999999999999999",
            "recursive=maybe",
            "ref=%FF",
            "workspace=a",
            "%FF=1",
        ] {
            assert!(matches!(said(raw), Err(AppError::Query { .. })), "{raw}");
        }
        assert!(said("").is_ok());
        assert!(said("&&").is_ok());
        assert_eq!(
            said("reff=main").unwrap_err().to_string(),
            "unknown parameter `reff`, did you mean `ref`?"
        );
    }
}
