//! What other load balancers have got wrong, each as a test that says it.
//!
//! Frames go through the pipeline on the host and through the loaded program in the kernel, which
//! must agree ([`both`]). The rules themselves, case by case, are fixtures; here is what must never
//! come back, whatever the rules. They need root.

#[expect(clippy::unwrap_used, clippy::panic, reason = "a helper that panics fails its test")]
#[path = "regressions/both.rs"]
mod both;
#[expect(clippy::unwrap_used, reason = "a helper that panics fails its test")]
#[path = "regressions/flows.rs"]
mod flows;
#[path = "regressions/headers.rs"]
mod headers;
#[expect(clippy::unwrap_used, reason = "a helper that panics fails its test")]
#[path = "regressions/weights.rs"]
mod weights;
