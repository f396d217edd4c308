//! Time to find a place for every service of a configuration.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::Ipv4Addr;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use lb_common::abi::{ServiceEntry, ServiceKey};
use lb_common::services::ServiceTable;

fn service_table(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("service_table");
    for count in [100_u32, 10_000, 100_000] {
        let key = |number| ServiceKey::new(Ipv4Addr::from(0xcb00_7100 + number / 4).into(), 6, 80);
        let keys = (0..count).map(|number| {
            let port = u64::from(number % 4);
            ServiceKey { selector: key(number).selector ^ port, ..key(number) }
        });
        let services: BTreeMap<_, _> =
            keys.map(|key| (key, ServiceEntry { name_hash: 1, ..Default::default() })).collect();
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| ServiceTable::build(black_box(&services)));
        });
    }
    group.finish();
}

criterion_group!(benches, service_table);
criterion_main!(benches);
