//! HTTP statuses as they are written: a number, a range, or a list of both.

use core::fmt;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use schemars::JsonSchema;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// HTTP statuses: one, or a list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum StatusesFile {
    /// One entry.
    One(StatusFile),
    /// Several.
    List(Vec<StatusFile>),
}

/// One HTTP status, or a range of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum StatusFile {
    /// `204`
    Number(i64),
    /// `200-299`
    Range(#[schemars(regex(pattern = r"^[0-9]{3}(-[0-9]{3})?$"))] String),
}

impl StatusesFile {
    /// Every entry.
    pub fn entries(&self) -> &[StatusFile] {
        match self {
            Self::One(status) => core::slice::from_ref(status),
            Self::List(statuses) => statuses,
        }
    }
}

impl fmt::Display for StatusFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Range(text) => f.write_str(text),
        }
    }
}

// By hand: what serde derives for a choice of shapes reports a wrong one in words of its own.
impl<'de> Deserialize<'de> for StatusesFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shape;

        impl<'de> Visitor<'de> for Shape {
            type Value = StatusesFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status, a range such as 200-299, or a list of them")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<StatusesFile, E> {
                StatusFile::number(number).map(StatusesFile::One)
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<StatusesFile, E> {
                Ok(StatusesFile::One(StatusFile::Number(number)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<StatusesFile, E> {
                Ok(StatusesFile::One(StatusFile::Range(text.to_string())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<StatusesFile, A::Error> {
                let mut statuses = Vec::new();
                while let Some(status) = list.next_element()? {
                    statuses.push(status);
                }
                Ok(StatusesFile::List(statuses))
            }
        }

        deserializer.deserialize_any(Shape)
    }
}

impl StatusFile {
    fn number<E: Error>(number: u64) -> Result<Self, E> {
        let fits = i64::try_from(number).ok().map(Self::Number);
        fits.ok_or_else(|| E::custom(format!("{number} is not a status")))
    }
}

impl<'de> Deserialize<'de> for StatusFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shape;

        impl Visitor<'_> for Shape {
            type Value = StatusFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status, or a range such as 200-299")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<StatusFile, E> {
                StatusFile::number(number)
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<StatusFile, E> {
                Ok(StatusFile::Number(number))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<StatusFile, E> {
                Ok(StatusFile::Range(text.to_string()))
            }
        }

        deserializer.deserialize_any(Shape)
    }
}
