//! From YAML text to [`ConfigFile`]: syntax, field names and types.
//!
//! The text goes through an untyped tree first, because only that reports duplicate keys. The
//! tree is then read into the types. That stops at the first thing that does not fit; it is noted
//! and mended in the tree (an unknown field taken out, a placeholder put where a value is wrong or
//! missing), and the tree read again, so that one run reports them all. A mended tree is never
//! used for anything else.
//!
//! Before all that comes a look at the nesting. The YAML library compares each token with every
//! collection that is open, so a text of 500 kB that opens 100,000 would keep it busy for minutes.
//!
//! Caller: `validate::parse`.

use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use serde_path_to_error::{Path as SerdePath, Segment};
use serde_yaml::Value;

use super::error::{ConfigError, Findings, Problem};
use super::file::ConfigFile;
use super::position::{NESTING_MAX, Outline, Part, Path, Place, Positions, Step, Steps};

/// Bound of the work on one text: each mend reads the tree once more, and a text of another kind
/// altogether has no end of problems.
const MAX_MENDS: usize = 50;

/// Names longer than this, bytes, are not compared with others: the work grows with the length.
const MAX_SLIP_BYTES: usize = 100;

/// Brackets that the YAML library gets to see unseen by us. All of them nested take it a second.
const UNSEEN_BRACKETS_MAX: usize = 10_000;

/// Reads `text` into the types of the file.
pub(super) fn read(origin: &str, text: &str) -> Result<ConfigFile, ConfigError> {
    let mut tree = tree(origin, text)?;
    let mut findings = Findings::default();
    if tree.is_null() {
        findings.add(&Path::Root, "the file is empty");
        return Err(findings.into_error(origin, text));
    }
    let mut mended: Vec<Steps> = Vec::new();
    for _ in 0..MAX_MENDS {
        let error = match serde_path_to_error::deserialize(&tree) {
            Ok(file) if findings.is_empty() => return Ok(file),
            Ok(_) => break,
            Err(error) => error,
        };
        let trouble = Trouble::new(error.path(), &error.inner().to_string());
        let Some(mend) = &trouble.mend else {
            findings.add_steps(trouble.steps, Part::Value, trouble.message);
            break;
        };
        let applied = apply(&mut tree, &trouble.steps, mend);
        // What is wrong with a placeholder is our doing and no news.
        if !mended.iter().any(|field| trouble.steps.0.starts_with(&field.0)) {
            mended.push(trouble.steps.clone());
            let (steps, part) = trouble.shown_at();
            findings.add_steps(steps, part, &*trouble.message);
        }
        if !applied {
            break;
        }
    }
    Err(findings.into_error(origin, text))
}

/// The text as a tree, if it is YAML and nested within reason.
fn tree(origin: &str, text: &str) -> Result<Value, ConfigError> {
    match Outline::of(text) {
        Outline::Sound => from_yaml(origin, text),
        Outline::TooDeep(place) => {
            let message = format!("nested deeper than {NESTING_MAX} levels");
            Err(single(origin, Some(place), message))
        }
        // The library is more lenient about indentation, and has the better messages. But what
        // follows the place has not been looked at.
        Outline::Broken { place, message } => {
            let brackets = text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
            if brackets <= UNSEEN_BRACKETS_MAX {
                return from_yaml(origin, text);
            }
            Err(single(origin, Some(place), message))
        }
    }
}

fn from_yaml(origin: &str, text: &str) -> Result<Value, ConfigError> {
    serde_yaml::from_str(text).map_err(|error| syntax_error(origin, text, &error))
}

fn single(origin: &str, place: Option<Place>, message: String) -> ConfigError {
    let (line, column) = place.unzip();
    let problem = Problem { line, column, path: String::new(), message };
    ConfigError { origin: origin.to_string(), problems: vec![problem] }
}

/// An error of the YAML syntax, which carries its own place, or duplicate keys.
fn syntax_error(origin: &str, text: &str, error: &serde_yaml::Error) -> ConfigError {
    let location = error.location();
    let mut message = error.to_string();
    if message.contains("duplicate entry") {
        // The library tells where the mapping starts; the walk tells where the second key stands.
        let problems = Positions::of(text).duplicates();
        if !problems.is_empty() {
            return ConfigError { origin: origin.to_string(), problems };
        }
    }
    if let Some(location) = &location {
        let place = format!(" at line {} column {}", location.line(), location.column());
        message = message.replace(&place, "");
    }
    single(origin, location.map(|location| (location.line(), location.column())), message)
}

/// What is done to the tree so that reading can go on.
enum Mend {
    /// Take out the unknown field.
    TakeOut,
    /// Put in the missing field.
    PutIn,
    /// Put a value of the right type in the place of the wrong one.
    Replace(Value),
}

/// One refusal of the deserialiser, in our words.
struct Trouble {
    /// The field that is wrong, unknown or missing.
    steps: Steps,
    message: String,
    /// How to go on; `None` if there is no way.
    mend: Option<Mend>,
}

impl Trouble {
    fn new(path: &SerdePath, message: &str) -> Self {
        let mut steps = steps(path);
        // serde's own wording: the name in question, then the names that would do, in backticks.
        let mut quoted = message.split('`').skip(1).step_by(2);
        let name = quoted.next().unwrap_or_default();
        let known: Vec<_> = quoted.collect();
        if message.starts_with("unknown field") {
            // The path ends in the unknown name already.
            let message = match closest(name, &known) {
                Some(near) => format!("unknown field; did you mean \"{near}\"?"),
                None => format!("unknown field; known here: {}", known.join(", ")),
            };
            Self { steps, message, mend: Some(Mend::TakeOut) }
        } else if message.starts_with("missing field") {
            steps.0.push(Step::Field(name.to_string()));
            let message = format!("missing field \"{name}\"");
            Self { steps, message, mend: Some(Mend::PutIn) }
        } else if message.starts_with("unknown variant") {
            let mend = known.first().map(|known| Mend::Replace(Value::from(*known)));
            let message = format!("\"{name}\" is not one of: {}", known.join(", "));
            Self { steps, message, mend }
        } else {
            let (message, placeholder) = in_plain_words(message);
            Self { steps, message, mend: placeholder.map(Mend::Replace) }
        }
    }

    /// What to point at: the name of an unknown field, the mapping that lacks a missing one.
    fn shown_at(&self) -> (Steps, Part) {
        let mut steps = self.steps.clone();
        match self.mend {
            Some(Mend::TakeOut) => (steps, Part::Name),
            Some(Mend::PutIn) => {
                steps.0.pop();
                (steps, Part::Value)
            }
            Some(Mend::Replace(_)) | None => (steps, Part::Value),
        }
    }
}

/// A message about a wrong type without Rust's names, and a value of the type that is expected.
fn in_plain_words(message: &str) -> (String, Option<Value>) {
    let Some((found, expected)) = message.split_once(", expected ") else {
        return (message.to_string(), None);
    };
    let found = found.replace("unit value", "nothing").replace("map", "mapping");
    let (expected, placeholder) = match expected {
        "a boolean" => ("true or false", Value::from(false)),
        "a string" => (expected, Value::from("")),
        "i64" => ("a whole number", Value::from(0)),
        "a sequence" => ("a list", Value::Sequence(Vec::new())),
        mapping if mapping == "a map" || mapping.starts_with("struct ") => {
            ("a mapping", Value::Mapping(serde_yaml::Mapping::new()))
        }
        statuses if statuses.starts_with("a status, ") => (statuses, Value::from(0)),
        "field identifier" => return (format!("{found}, expected the name of a field"), None),
        // A choice: the empty text leads on to "unknown variant", which knows the choices.
        _ => ("one of the allowed words", Value::from("")),
    };
    (format!("{found}, expected {expected}"), Some(placeholder))
}

fn steps(path: &SerdePath) -> Steps {
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(Step::Item(*index)),
        Segment::Map { key } => Some(Step::Field(key.clone())),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    Steps(path.iter().filter_map(step).collect())
}

/// The name among `known` that `name` is most likely a slip of.
pub(super) fn closest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    if name.len() > MAX_SLIP_BYTES {
        return None;
    }
    let slips = |known: &str| strsim::damerau_levenshtein(name, known);
    let near = known.iter().min_by_key(|known| slips(known))?;
    // A third of the letters wrong is still a slip; more is another word.
    (slips(near) <= (near.chars().count() / 3).max(1)).then_some(*near)
}

/// Mends the tree at `steps`; false if there is no such place.
fn apply(tree: &mut Value, steps: &Steps, mend: &Mend) -> bool {
    let mut node = tree;
    let above = match mend {
        Mend::Replace(_) => steps.0.as_slice(),
        Mend::TakeOut | Mend::PutIn => steps.0.split_last().map_or(&[][..], |(_, above)| above),
    };
    for step in above {
        let child = match step {
            Step::Field(name) => node.get_mut(name.as_str()),
            Step::Item(index) => node.get_mut(*index),
        };
        let Some(child) = child else { return false };
        node = child;
    }
    match (mend, node, steps.0.last()) {
        (Mend::Replace(placeholder), node, _) => {
            *node = placeholder.clone();
            true
        }
        (Mend::TakeOut, Value::Mapping(fields), Some(Step::Field(name))) => {
            fields.remove(name.as_str()).is_some()
        }
        (Mend::PutIn, Value::Mapping(fields), Some(Step::Field(name))) => {
            fields.insert(Value::from(name.as_str()), Value::Null);
            true
        }
        (Mend::TakeOut | Mend::PutIn, ..) => false,
    }
}
