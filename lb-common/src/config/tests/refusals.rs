//! One row for each kind of mistake: the edit of the valid text, and the message in full.

mod failover;
mod health;
mod sizes;
mod values;

use std::string::{String, ToString};
use std::vec::Vec;

use super::{BASE, accepted, edited, refused};

/// Passage of the valid text, what it is replaced by, the message without the name of the file.
type Row = (&'static str, &'static str, &'static str);

fn check(rows: &[Row]) {
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|(from, to, message)| {
            let got = refused(&edited(from, to));
            let expected = std::format!("edge.yaml:{message}");
            (got != expected)
                .then(|| std::format!("  edit: {to:?}\nwanted: {expected}\n   got: {got}\n"))
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn texts_that_are_no_yaml_mapping_are_refused() {
    assert_eq!(refused(""), "edge.yaml: the file is empty");
    assert_eq!(refused("# nothing\n"), "edge.yaml: the file is empty");
    assert_eq!(refused("{}"), "edge.yaml:1:1: missing field \"node\"");
    assert_eq!(refused("web"), "edge.yaml:1:1: invalid type: string \"web\", expected a mapping");
    assert_eq!(
        refused(&(BASE.to_string() + "---\n" + BASE)),
        "edge.yaml: deserializing from YAML containing more than one document is not supported"
    );
    assert_eq!(
        refused("node: {}\n\tpools: []\n"),
        "edge.yaml:2:1: found character that cannot start any token, while scanning for the next token"
    );
}

#[test]
fn nesting_beyond_reason_is_refused_where_it_begins() {
    let message = "nested deeper than 64 levels";
    assert_eq!(refused(&"[".repeat(65)), std::format!("edge.yaml:1:65: {message}"));
    assert_eq!(refused(&"- ".repeat(65)), std::format!("edge.yaml:1:129: {message}"));
    assert_eq!(refused(&"[\n".repeat(65)), std::format!("edge.yaml:65:1: {message}"));
    assert_eq!(refused(&"[".repeat(100_000)), std::format!("edge.yaml:1:256: {message}"));
    let allowed = "[".repeat(64) + &"]".repeat(64);
    assert_eq!(refused(&allowed), "edge.yaml:1:1: invalid type: sequence, expected a mapping");
}

#[test]
fn what_the_look_at_the_nesting_cannot_read_is_left_to_the_yaml_library() {
    let text = edited("ports: [443, 80]", "ports: [\n443, 80\n]");
    assert_eq!(accepted(&text).services["web"].ports, [80, 443]);
}

/// Each of these took the YAML library minutes: it compares every token with every open list.
#[test]
#[expect(clippy::disallowed_methods, reason = "the claim is about time")]
fn nesting_beyond_reason_costs_no_time_wherever_it_stands() {
    let deep = "{a: ".repeat(200_000);
    // The second is no YAML in its second line, where the look at the nesting ends; the library
    // reads on there.
    for text in [deep.clone(), std::format!("a: [\n1]\nb: {deep}")] {
        let start = std::time::Instant::now();
        refused(&text);
        assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    }
}

#[test]
fn mistakes_of_form_are_refused_with_their_place() {
    check(WRONG_FORMS);
}

const WRONG_FORMS: &[Row] = &[
    ("  - name: eth0\n", "", "2:11: interfaces: invalid type: nothing, expected a list"),
    (
        "    ports: [443, 80]",
        "    ports:",
        "17:10: services[0].ports: invalid type: nothing, expected a list",
    ),
    (
        "interfaces:",
        "node: { name: b }\ninterfaces:",
        "2:1: node: the field is here twice, first in line 1",
    ),
    (
        "weight: 50",
        "address: fd00::1",
        "12:9: pools[0].backends[1].address: the field is here twice, first in line 11",
    ),
    (
        "interfaces:",
        "interface:",
        "1:1: missing field \"interfaces\"\nedge.yaml:2:1: interface: unknown field; did you mean \"interfaces\"?",
    ),
    (
        "weight: 50",
        "wieght: 50",
        "12:9: pools[0].backends[1].wieght: unknown field; did you mean \"weight\"?",
    ),
    (
        "weight: 50",
        "zone: 50",
        "12:9: pools[0].backends[1].zone: unknown field; known here: name, address, weight, tier, quic_server_id",
    ),
    ("    vip: 203.0.113.10\n", "", "14:5: services[0]: missing field \"vip\""),
    (
        "weight: 50",
        "weight: heavy",
        "12:17: pools[0].backends[1].weight: invalid type: string \"heavy\", expected a whole number",
    ),
    (
        "weight: 50",
        "weight: 0.5",
        "12:17: pools[0].backends[1].weight: invalid type: floating point `0.5`, expected a whole number",
    ),
    (
        "name: web-1",
        "name: 80",
        "8:15: pools[0].backends[0].name: invalid type: integer `80`, expected a string",
    ),
    (
        "ports: [443, 80]",
        "ports: 80",
        "17:12: services[0].ports: invalid type: integer `80`, expected a list",
    ),
    (
        "protocol: tcp",
        "protocol: sctp",
        "16:15: services[0].protocol: \"sctp\" is not one of: tcp, udp",
    ),
    (
        "    health:",
        "    scheduler: rr\n    health:",
        "6:16: pools[0].scheduler: \"rr\" is not one of: maglev, source-hash, round-robin, weighted-round-robin, least-connections, random",
    ),
    (
        "    health:",
        "    encapsulation: vxlan\n    health:",
        "6:20: pools[0].encapsulation: \"vxlan\" is not one of: ipip, gue, gre, l2",
    ),
    (
        "    health:",
        "    quic:\n    health:",
        "6:9: pools[0].quic: invalid type: nothing, expected a list",
    ),
    (
        "name: eth0",
        "{ name: eth0, mode: driver }",
        "3:25: interfaces[0].mode: \"driver\" is not one of: auto, native, generic",
    ),
    (
        "type: http",
        "type: smtp",
        "6:21: pools[0].health.type: \"smtp\" is not one of: tcp, http, https, dns, icmp, exec, grpc",
    ),
];

#[test]
fn wrong_names_are_refused_with_their_place() {
    check(WRONG_NAMES);
}

const WRONG_NAMES: &[Row] = &[
    (
        "edge-1",
        "edge 1",
        "1:15: node.name: \"edge 1\" is not a name of 1..=63 letters, digits, dots, dashes and underscores",
    ),
    (
        "name: web-1",
        "name: web/1",
        "8:15: pools[0].backends[0].name: \"web/1\" is not a name of 1..=63 letters, digits, dots, dashes and underscores",
    ),
    (
        "name: web-1",
        "name: \"\"",
        "8:15: pools[0].backends[0].name: \"\" is not a name of 1..=63 letters, digits, dots, dashes and underscores",
    ),
    (
        "name: eth0",
        "name: a-name-too-long-0",
        "3:11: interfaces[0].name: \"a-name-too-long-0\" is not a name of an interface (15 characters at most)",
    ),
    (
        "  - name: eth0",
        "  - name: eth0\n  - name: eth0",
        "4:11: interfaces[1].name: \"eth0\" is the name of interfaces[0] already",
    ),
    (
        "name: web-2",
        "name: web-1",
        "10:15: pools[0].backends[1].name: \"web-1\" is the name of pools[0].backends[0] already",
    ),
    (
        "services:\n",
        "  - { name: web, backends: [] }\nservices:\n",
        "13:13: pools[1].name: \"web\" is the name of pools[0] already",
    ),
    (
        "    vip:",
        "    vip: 203.0.113.9\n    protocol: udp\n    ports: [53]\n    pool: web\n  - name: web\n    vip:",
        "19:11: services[1].name: \"web\" is the name of services[0] already",
    ),
    (
        "    pool: web",
        "    pool: wbe",
        "18:11: services[0].pool: there is no pool \"wbe\"; did you mean \"web\"?",
    ),
    ("    pool: web", "    pool: mail", "18:11: services[0].pool: there is no pool \"mail\""),
    ("  - name: eth0", "  []", "3:3: interfaces: at least one interface is needed"),
];
