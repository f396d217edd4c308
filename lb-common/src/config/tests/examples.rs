//! Claims about the files in docs: the examples are valid, the schema is the one of the types.

use std::path::{Path, PathBuf};
use std::string::String;
use std::{env, fs};

use super::accepted;
use crate::config::file::json_schema;

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

fn read(name: &str) -> String {
    let path = docs(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_example_of_an_edge_host_is_valid() {
    let desired = accepted(&read("examples/edge.yaml"));
    assert!(desired.pools.len() > 1 && desired.services.len() > 1);
}

#[test]
fn the_minimal_example_is_valid() {
    let desired = accepted(&read("examples/minimal.yaml"));
    assert_eq!((desired.pools.len(), desired.services.len()), (1, 1));
}

#[test]
fn the_written_schema_is_the_one_of_the_types() {
    let schema = json_schema();
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(docs("config-schema.json"), &schema).unwrap();
    }
    assert!(
        read("config-schema.json") == schema,
        "run the tests with UPDATE_GOLDEN=1, read the diff"
    );
}

#[test]
fn every_field_of_the_schema_is_described() {
    let schema: serde_json::Value = serde_json::from_str(&json_schema()).unwrap();
    let types = schema["$defs"].as_object().unwrap().values().chain([&schema]);
    let mut fields = 0;
    for (name, field) in types.filter_map(|kind| kind["properties"].as_object()).flatten() {
        assert!(field["description"].is_string(), "{name} has no description");
        fields += 1;
    }
    assert!(fields > 30, "only {fields} fields seen");
}
