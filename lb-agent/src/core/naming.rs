//! What the names of a configuration come to: worked out when it changes, not with each command.

use std::collections::BTreeMap;

use lb_common::abi::BackendIndex;
use lb_common::config::{Desired, Pool};
use lb_common::image::Image;

use super::ids::{Exhausted, Ids};
use super::sweep::{IdleTimeouts, idle_timeouts};

/// The indices of a configuration's names, and what is known by index.
#[derive(Debug, Default)]
pub struct Naming {
    /// The indices.
    pub ids: Ids,
    /// Idle time-outs by pool index.
    pub timeouts: BTreeMap<u32, IdleTimeouts>,
    /// Pool and name of each backend.
    pub backends: BTreeMap<BackendIndex, (String, String)>,
}

impl Naming {
    /// For a configuration, in maps that hold this: who is in them keeps the index.
    ///
    /// # Errors
    /// There are more services, pools or backends than the limits allow.
    pub fn of(desired: &Desired, observed: &Image) -> Result<Self, Exhausted> {
        let ids = Ids::adopt(observed).assign(desired)?;
        let timeouts = idle_timeouts(desired, &ids);
        let of_pool = |(pool, spec): (&String, &Pool)| {
            let named =
                |name: &String| Some((ids.backend(pool, name)?, (pool.clone(), name.clone())));
            spec.backends.keys().filter_map(named).collect::<Vec<_>>()
        };
        let backends = desired.pools.iter().flat_map(of_pool).collect();
        Ok(Self { ids, timeouts, backends })
    }
}
