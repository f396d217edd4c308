//! Time to build one Maglev table of the default size: the target is 15 ms for 1,000 backends.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use lb_common::maglev::{Entry, TableInput, build};

const SLOTS: u32 = 65_521;

fn table_build(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("maglev_build");
    for backends in [100_u16, 1000] {
        let names: Vec<String> = (0..backends).map(|number| format!("web-{number}")).collect();
        let equal = |_: u16| 100;
        let mixed = |number: u16| 1 + number.wrapping_mul(7919) % 1000;
        let cases: [(&str, &dyn Fn(u16) -> u16); 2] = [("equal", &equal), ("mixed", &mixed)];
        for (weights, weight_of) in cases {
            let entries: Vec<_> = (0..)
                .zip(&names)
                .map(|(number, name)| Entry { name, weight: weight_of(number) })
                .collect();
            let input = TableInput { pool: "web", slots: SLOTS, seed: [1, 2], entries: &entries };
            group.bench_function(BenchmarkId::new(weights, backends), |bencher| {
                bencher.iter(|| build(black_box(&input)));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, table_build);
criterion_main!(benches);
