//! Target `state`: the agent's state file.

use lb_agent::core::overrides::{Change, Overrides};
use lb_agent::io::state_file::State;
use lb_common::config::Weight;

use super::texts::reads_back;

/// An input: the agent's state file.
///
/// # Panics
/// What was read is another thing once it has been written, or holds what no operator can order.
pub fn state(input: &[u8]) {
    let Ok(state) = serde_json::from_slice::<State>(input) else { return };
    reads_back(&state);
    let text = serde_json::to_value(&state.overrides).expect("JSON");
    let names = text["pools"].as_object().into_iter().flatten().flat_map(|(pool, backends)| {
        let backends = backends.as_object().into_iter().flatten();
        backends.map(move |(backend, _)| (pool, backend))
    });
    for (pool, backend) in names {
        let order = state.overrides.of(pool, backend);
        let weight = order.weight.map(|weight| {
            Weight::new(weight.into()).unwrap_or_else(|| unreachable!("weight {weight}"))
        });
        let again = Overrides::default().with(pool, backend, Change::Weight(weight)).with(
            pool,
            backend,
            Change::Drain(order.drain),
        );
        assert_eq!(again.of(pool, backend), order, "an operator can order the same");
    }
}
