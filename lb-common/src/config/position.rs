//! Paths into the configuration, and where in the text each of them stands.
//!
//! The YAML library that fills our types keeps no positions, so the text is walked once more,
//! event by event, with a parser that does. That happens only when there is something to report,
//! but for an [`Outline`], which guards the YAML library from texts that would keep it busy.
//! A path that the walk does not know (below an alias, or absent) gets the place of its nearest
//! known ancestor.
//!
//! Callers: `read` and `validate` make paths, `error` turns them into lines and columns.

use std::collections::BTreeMap;
use std::fmt;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use saphyr_parser::{Event, Marker, Parser};

use super::error::Problem;

/// A place in the document while it is being checked; a list that needs no allocation.
#[derive(Clone, Copy)]
pub(super) enum Path<'a> {
    /// The whole document.
    Root,
    /// A field of a mapping.
    Field(&'a Path<'a>, &'a str),
    /// An item of a sequence.
    Item(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    /// The field `name` of this mapping.
    pub(super) const fn field(&'a self, name: &'a str) -> Self {
        Self::Field(self, name)
    }

    /// The item `index` of this sequence.
    pub(super) const fn item(&'a self, index: usize) -> Self {
        Self::Item(self, index)
    }

    /// The steps from the root to here.
    pub(super) fn steps(&self) -> Steps {
        let mut steps = Vec::new();
        let mut path = self;
        loop {
            match path {
                Self::Root => break,
                Self::Field(parent, name) => {
                    steps.push(Step::Field((*name).to_string()));
                    path = parent;
                }
                Self::Item(parent, index) => {
                    steps.push(Step::Item(*index));
                    path = parent;
                }
            }
        }
        steps.reverse();
        Steps(steps)
    }
}

/// One step down the document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// To a field of a mapping.
    Field(String),
    /// To an item of a sequence.
    Item(usize),
}

/// A path that has been kept; prints as `pools[0].backends[2].weight`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Steps(pub(super) Vec<Step>);

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Item(index) => write!(f, "[{index}]")?,
                Step::Field(name) if position == 0 => write!(f, "{name}")?,
                Step::Field(name) => write!(f, ".{name}")?,
            }
        }
        Ok(())
    }
}

/// Which part of a field is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// Its name.
    Name,
    /// Its value.
    Value,
}

/// Line and column, both from 1; columns count characters.
pub(super) type Place = (usize, usize);

/// Deepest nesting of lists and mappings that is read. Our deepest field stands in the seventh.
pub(super) const NESTING_MAX: usize = 64;

/// What a first look at a text finds, before anything is made of it.
pub(super) enum Outline {
    /// It can be read, and within reason.
    Sound,
    /// Here the nesting becomes deeper than [`NESTING_MAX`].
    TooDeep(Place),
    /// Here it cannot be read any further.
    Broken {
        /// Line and column.
        place: Place,
        /// What is wrong.
        message: String,
    },
}

impl Outline {
    /// Looks at `text` as far as it can be read. The time is in proportion to its length: an event
    /// is taken only while the collections that are open are few.
    pub(super) fn of(text: &str) -> Self {
        let mut depth = 0_usize;
        for event in Parser::new_from_str(text) {
            match event {
                Ok((Event::SequenceStart(..) | Event::MappingStart(..), span)) => {
                    depth += 1;
                    if depth > NESTING_MAX {
                        return Self::TooDeep(place(&span.start));
                    }
                }
                Ok((Event::SequenceEnd | Event::MappingEnd, _)) => depth = depth.saturating_sub(1),
                Ok(_) => {}
                Err(error) => {
                    let (place, message) = (place(error.marker()), error.info().to_string());
                    // It looks ahead for as long as a bracket may turn out to be a key, and
                    // counts those it meets, up to 255.
                    return match message.as_str() {
                        "recursion limit exceeded" => Self::TooDeep(place),
                        _ => Self::Broken { place, message },
                    };
                }
            }
        }
        Self::Sound
    }
}

/// The places of every node of a document.
pub(super) struct Positions {
    /// The first node is the root; children come after their parents.
    nodes: Vec<Node>,
    /// Names that a mapping has twice: the second one's place.
    duplicates: Vec<Duplicate>,
}

struct Duplicate {
    mapping: usize,
    name: String,
    first: Option<Place>,
    second: Place,
}

struct Node {
    /// The node it belongs to, and the step from there; none for the root.
    parent: Option<(usize, Step)>,
    /// Where its name stands, if it is a field.
    name: Option<Place>,
    value: Place,
    fields: BTreeMap<String, usize>,
    items: Vec<usize>,
}

impl Positions {
    /// Walks `text` as far as it can be read.
    pub(super) fn of(text: &str) -> Self {
        let mut walk = Walk::default();
        for event in Parser::new_from_str(text) {
            let Ok((event, span)) = event else { break };
            walk.on_event(&event, place(&span.start));
        }
        Self { nodes: walk.nodes, duplicates: walk.duplicates }
    }

    /// One problem for each name that a mapping has more than once.
    pub(super) fn duplicates(&self) -> Vec<Problem> {
        let problem = |duplicate: &Duplicate| {
            let mut steps = self.steps_to(duplicate.mapping);
            steps.0.push(Step::Field(duplicate.name.clone()));
            let first = duplicate.first.map_or(0, |(line, _)| line);
            let (line, column) = duplicate.second;
            Problem {
                line: Some(line),
                column: Some(column),
                path: steps.to_string(),
                message: format!("the field is here twice, first in line {first}"),
            }
        };
        self.duplicates.iter().map(problem).collect()
    }

    fn steps_to(&self, node: usize) -> Steps {
        let mut steps = Vec::new();
        let mut node = self.nodes.get(node);
        while let Some((parent, step)) = node.and_then(|node| node.parent.as_ref()) {
            steps.push(step.clone());
            node = self.nodes.get(*parent);
        }
        steps.reverse();
        Steps(steps)
    }

    /// Where `path` stands, or else its nearest known ancestor.
    pub(super) fn find(&self, path: &Steps, part: Part) -> Option<Place> {
        let mut node = self.nodes.first()?;
        let mut complete = true;
        for step in &path.0 {
            let child = match step {
                Step::Field(name) => node.fields.get(name),
                Step::Item(index) => node.items.get(*index),
            };
            let Some(child) = child.and_then(|child| self.nodes.get(*child)) else {
                complete = false;
                break;
            };
            node = child;
        }
        match part {
            Part::Name if complete => node.name.or(Some(node.value)),
            Part::Name | Part::Value => Some(node.value),
        }
    }
}

fn place(marker: &Marker) -> Place {
    (marker.line(), marker.col() + 1)
}

/// The walk's state: what it has found so far and the collections that are open.
#[derive(Default)]
struct Walk {
    nodes: Vec<Node>,
    duplicates: Vec<Duplicate>,
    open: Vec<Collection>,
}

enum Collection {
    Sequence { node: usize },
    Mapping { node: usize, name: Option<(String, Place)> },
}

impl Walk {
    fn on_event(&mut self, event: &Event<'_>, place: Place) {
        match event {
            Event::Scalar(text, ..) => {
                if !self.take_as_name(text, place) {
                    self.add(place);
                }
            }
            Event::Alias(_) => {
                // A name given by an alias is not resolved: no field is called "*".
                if !self.take_as_name("*", place) {
                    self.add(place);
                }
            }
            Event::SequenceStart(..) => {
                let node = self.add_collection(place);
                self.open.push(Collection::Sequence { node });
            }
            Event::MappingStart(..) => {
                let node = self.add_collection(place);
                self.open.push(Collection::Mapping { node, name: None });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.open.pop();
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => {}
        }
    }

    /// Keeps `text` as the name of the next field, if a name is what the mapping expects.
    fn take_as_name(&mut self, text: &str, place: Place) -> bool {
        match self.open.last_mut() {
            Some(Collection::Mapping { name: name @ None, .. }) => {
                *name = Some((text.to_string(), place));
                true
            }
            Some(_) | None => false,
        }
    }

    /// A collection as a name ("? [a]: b") is a node apart, and its value belongs to "?".
    fn add_collection(&mut self, place: Place) -> usize {
        if self.take_as_name("?", place) { self.push(None, None, place) } else { self.add(place) }
    }

    /// Adds a node under the collection that is open.
    fn add(&mut self, place: Place) -> usize {
        match self.open.last_mut() {
            None => self.push(None, None, place),
            Some(Collection::Sequence { node: parent }) => {
                let parent = *parent;
                let index = self.nodes.get(parent).map_or(0, |node| node.items.len());
                let node = self.push(Some((parent, Step::Item(index))), None, place);
                if let Some(parent) = self.nodes.get_mut(parent) {
                    parent.items.push(node);
                }
                node
            }
            Some(Collection::Mapping { node: parent, name }) => {
                let parent = *parent;
                let (name, name_place) = name.take().unwrap_or_default();
                self.add_field(parent, name, name_place, place)
            }
        }
    }

    fn add_field(&mut self, parent: usize, name: String, at: Place, value: Place) -> usize {
        let node = self.push(Some((parent, Step::Field(name.clone()))), Some(at), value);
        let fields = self.nodes.get_mut(parent).map(|parent| &mut parent.fields);
        if let Some(earlier) = fields.and_then(|fields| fields.insert(name.clone(), node)) {
            let first = self.nodes.get(earlier).and_then(|node| node.name);
            self.duplicates.push(Duplicate { mapping: parent, name, first, second: at });
        }
        node
    }

    fn push(&mut self, parent: Option<(usize, Step)>, name: Option<Place>, value: Place) -> usize {
        let (fields, items) = (BTreeMap::new(), Vec::new());
        self.nodes.push(Node { parent, name, value, fields, items });
        self.nodes.len() - 1
    }
}
