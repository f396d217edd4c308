//! A probe by hand: asked at once beside those that are due, told step by step. No machine hears of
//! it.

use std::time::Duration;

use lb_common::api::{HealthStep, HealthTrial, Problem};

use super::views::asked;
use crate::app::agent::Agent;
use crate::app::views;
use crate::io::api_server::{Answer, Call, Wanted};
use crate::io::probes::{Prober, Trial};

impl Agent {
    /// Answers a call, at once or when its probe has come to something. A client that has gone needs
    /// no answer.
    pub(in crate::app) async fn take_call(&mut self, call: Call, prober: &Prober) {
        let Call { wanted, answer } = call;
        match wanted {
            Wanted::Request(request) => {
                let _ = answer.send(self.handle(request).await);
            }
            Wanted::Trial { pool, name } => match self.start_trial(&pool, &name, prober) {
                Ok(trial) => {
                    tokio::spawn(async move { answer.send(trial.await) });
                }
                Err(problem) => {
                    let _ = answer.send(Err(problem));
                }
            },
        }
    }

    fn start_trial(
        &self,
        pool: &str,
        name: &str,
        prober: &Prober,
    ) -> Result<impl Future<Output = Answer> + Send + 'static, Problem> {
        views::known_backend(self, pool, name)?;
        let Some(checked) = self.health.of(pool, name) else {
            let title = format!("backend {pool}/{name} is not checked");
            return Err(views::problem("not_found", 404, title));
        };
        let probe = checked.probe(pool, name);
        let tunnelled = probe.tunnel.map(|_| probe.address.ip());
        if let Some(obstacle) = tunnelled.and_then(|vip| self.tunnels.obstacle(vip)) {
            return Err(views::problem("conflict", 409, format!("not asked: {obstacle}")));
        }
        let begun = HealthTrial {
            pool: pool.to_owned(),
            name: name.to_owned(),
            check: asked(checked),
            timeout_ms: milliseconds(checked.check.timeout),
            passed: None,
            detail: String::new(),
            took_us: 0,
            steps: Vec::new(),
        };
        let generation = self.state.generation;
        let trial = prober.explain(self.errand(probe));
        Ok(async move {
            match trial.await {
                Ok(trial) => views::item_of(generation, "HealthTrial", ended(begun, trial)),
                Err(_) => Err(views::problem("internal", 500, "the probe came to nothing")),
            }
        })
    }
}

fn ended(begun: HealthTrial, (outcome, steps): Trial) -> HealthTrial {
    let step = |step: crate::io::probes::Step| HealthStep {
        step: step.name.to_owned(),
        detail: step.detail,
        took_us: step.took_ns / 1000,
    };
    let steps = steps.into_iter().map(step).collect();
    match outcome {
        Err(not_asked) => HealthTrial { steps, detail: not_asked.to_string(), ..begun },
        Ok(outcome) => HealthTrial {
            passed: Some(outcome.passed),
            detail: outcome.detail,
            took_us: outcome.took_ns / 1000,
            steps,
            ..begun
        },
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
