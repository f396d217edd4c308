//! What a run starts from: fixtures, frames of the differential test, sample configurations.
//!
//! All of it is made, always the same, so that nobody keeps files of it.

use std::iter;

use fastrand::Rng;

use super::pipeline::{self as input, Control};
use crate::fixture::{catalogue, generate, origin as origin_fixtures};

/// Frames of the differential test.
const GENERATED: usize = 200;
/// Frames of one input with many of them.
const IN_A_ROW: usize = 8;
/// Random inputs for targets that make packets from whatever there is, and their bytes.
const NOISE: usize = 64;
const NOISE_BYTES: usize = 96;

const CONFIGURATIONS: [&str; 3] = [
    include_str!("../../../docs/examples/minimal.yaml"),
    include_str!("../../../docs/examples/edge.yaml"),
    include_str!("../../../docs/examples/demo.yaml"),
];

/// Frames as such.
pub(super) fn frames() -> Vec<Vec<u8>> {
    let mut rng = Rng::with_seed(5);
    let fixtures = catalogue().into_iter().map(|fixture| fixture.frame_in);
    fixtures.chain(iter::repeat_with(|| generate::frame(&mut rng)).take(GENERATED)).collect()
}

/// Packets without their Ethernet header.
pub(super) fn packets() -> Vec<Vec<u8>> {
    frames().iter().map(|frame| frame.iter().skip(14).copied().collect()).collect()
}

/// Frames behind control bytes, alone and in a row.
pub(super) fn pipeline() -> Vec<Vec<u8>> {
    let of_fixtures = catalogue().into_iter().map(|fixture| {
        let frames = fixture.earlier.iter().chain([&fixture.frame_in]);
        input::input(Control::FIXTURES, frames.map(Vec::as_slice))
    });
    let mut rng = Rng::with_seed(6);
    let in_a_row = iter::repeat_with(|| {
        let frames: Vec<_> =
            iter::repeat_with(|| generate::frame(&mut rng)).take(IN_A_ROW).collect();
        input::input(Control::MOVING, frames.iter().map(Vec::as_slice))
    });
    of_fixtures.chain(in_a_row.take(GENERATED / IN_A_ROW)).collect()
}

/// Frames of lb-origin's fixtures behind their control byte.
pub(super) fn origin() -> Vec<Vec<u8>> {
    let fixtures = origin_fixtures::catalogue().into_iter();
    fixtures.map(|fixture| [vec![0], fixture.frame_in].concat()).collect()
}

/// QUIC packets of every configuration that name the fixtures' server, long and short.
pub(super) fn quic() -> Vec<Vec<u8>> {
    let id = |config: u8| iter::once(config << 5).chain(1..=19).collect::<Vec<u8>>();
    let long = |config| [vec![0xc0, 0, 0, 0, 1, 20], id(config)].concat();
    let short = |config| [vec![0x40], id(config)].concat();
    (0..8).flat_map(|config| [long(config), short(config)]).collect()
}

/// Bytes by chance.
pub(super) fn noise() -> Vec<Vec<u8>> {
    let mut rng = Rng::with_seed(7);
    let mut bytes = || iter::repeat_with(|| rng.u8(..)).take(NOISE_BYTES).collect();
    iter::repeat_with(&mut bytes).take(NOISE).collect()
}

/// The sample configurations.
pub(super) fn configurations() -> Vec<Vec<u8>> {
    CONFIGURATIONS.map(|text| text.as_bytes().to_vec()).into()
}

/// Prefixes and server ids.
pub(super) fn prefixes() -> Vec<Vec<u8>> {
    ["10.64.0.0/16", "10.2.0.2", "fd00:2::/48", "2001:db8::10", "0.0.0.0/0", "::/0", "0a0B0c"]
        .map(|text| text.as_bytes().to_vec())
        .into()
}

/// State files.
#[cfg(feature = "kernel")]
pub(super) fn states() -> Vec<Vec<u8>> {
    let pools = r#"{"web":{"web-1":{"weight":50,"drain":false},"web-2":{"drain":true}}}"#;
    let full = format!(r#"{{"generation":7,"overrides":{{"pools":{pools}}},"configuration":9}}"#);
    let empty = r#"{"generation":0,"overrides":{"pools":{}}}"#;
    vec![full.into_bytes(), empty.as_bytes().to_vec()]
}

/// Requests and answers of the control API.
pub(super) fn api() -> Vec<Vec<u8>> {
    let item = |kind: &str, item: &str| {
        format!(r#"{{"apiVersion":"lb/v1","kind":"{kind}","generation":3,"item":{item}}}"#)
    };
    let list = |kind: &str, item: &str| {
        format!(r#"{{"apiVersion":"lb/v1","kind":"{kind}","generation":3,"items":[{item}]}}"#)
    };
    let traffic = r#"{"packets":5,"bytes":600}"#;
    let hop = r#"{"state":"resolved","gateway":"10.2.0.1","interface":"eth0","mac":"02:00:00:00:00:01","mtu_bytes":1600,"problem":null}"#;
    let backend = format!(
        r#"{{"pool":"web","name":"web-1","address":"10.3.0.2","tier":0,"state":"active","health":"unchecked","weight_configured":100,"weight_effective":50,"operator":{{"weight":50,"drain":false}},"share":0.25,"flows":3,"next_hop":{hop},"traffic":{traffic}}}"#
    );
    let service = format!(
        r#"{{"name":"web","vip":"203.0.113.10","protocol":"tcp","ports":[80,443],"pool":"web","backends_active":2,"backends_total":2,"traffic":{traffic}}}"#
    );
    let trace = r#"{"verdict":"tx","reason":"forwarded","help":"Sent.","service":"web","backend":"web/web-1","outer_destination":"10.3.0.2","steps":[{"step":"slot","detail":"7"}],"model_agrees":true}"#;
    let finding = r#"{"check":"mtu","severity":"warning","message":"1500","cure":"raise it"}"#;
    let diff = r#"{"changes":[{"kind":"modify","object":"backend web/web-1","detail":"weight 100 -> 50"}],"applied":false}"#;
    let problem = r#"{"type":"invalid_config","title":"edge.yaml is not valid","status":422,"errors":[{"file":"edge.yaml","line":3,"column":7,"path":"node.name","message":"empty"}]}"#;
    [
        r#"{"weight":50}"#.to_owned(),
        r#"{"weight":null}"#.to_owned(),
        r#"{"text":"node: {}","origin":"edge.yaml","expect_generation":4}"#.to_owned(),
        r#"{"source":"198.51.100.7:40000","destination":"[2001:db8::10]:80","protocol":"tcp"}"#
            .to_owned(),
        list("BackendList", &backend),
        list("ServiceList", &service),
        list("FindingList", finding),
        item("Trace", trace),
        item("ConfigDiff", diff),
        item("Config", r#"{"file":"/etc/lb-agent/edge.yaml","text":"node: {}"}"#),
        problem.to_owned(),
    ]
    .map(String::into_bytes)
    .into()
}
