//! The commands: each asks the agent for one thing, prints the answer and says how it ended.
//!
//! [`run`] is called once by `main`. What needs more than "ask and print" has a file of its own.

mod backend;
mod completion;
mod config;
mod doctor;
mod drain;
mod events;
mod health;
mod state;
mod version;

use hyper::Method;
use lb_common::api::{
    Backend, ConfigText, ConfigVersion, Health, HealthHistory, Item, List, Service, StateBackup,
    Status, Trace,
};
use serde::de::DeserializeOwned;

use crate::args::{Options, Request};
use crate::client::{Client, ClientError, Document};
use crate::console::{Console, print, say};
use crate::error::CtlError;
use crate::exit::Exit;
use crate::render::{self, View};

/// What every command works with.
struct Context<'a> {
    options: &'a Options,
    console: &'a Console,
    client: Client,
}

/// Carries out a request.
///
/// # Errors
/// Whatever keeps the command from its end.
pub(crate) fn run(
    request: Request,
    options: &Options,
    console: &Console,
) -> Result<Exit, CtlError> {
    let log: fn(&str) = if options.verbose { say } else { |_line| {} };
    let client = Client::new(&options.socket, options.timeout, log)?;
    let context = Context { options, console, client };
    match request {
        Request::Status => context.show::<Item<Status>>("/v1/status"),
        Request::Version => version::run(&context),
        Request::ServiceList => context.list::<Service>("/v1/services", "services"),
        Request::ServiceShow(name) => {
            context.show::<Item<Service>>(&format!("/v1/services/{name}"))
        }
        Request::BackendList(None) => context.list::<Backend>("/v1/backends", "backends"),
        Request::BackendList(Some(pool)) => {
            context.list::<Backend>(&format!("/v1/backends?pool={pool}"), "backends")
        }
        Request::BackendShow(backend) => {
            context.show::<Item<Backend>>(&format!("/v1/backends/{backend}"))
        }
        Request::BackendWeight(backend, weight) => backend::weight(&context, &backend, weight),
        Request::BackendDrain(drain) => drain::drain(&context, &drain),
        Request::BackendUndrain(backend) => drain::undrain(&context, &backend),
        Request::HealthList(None) => context.list::<Health>("/v1/health", "checks"),
        Request::HealthList(Some(pool)) => {
            context.list::<Health>(&format!("/v1/health?pool={pool}"), "checks")
        }
        Request::HealthShow(pool) => {
            context.list::<HealthHistory>(&format!("/v1/health/{pool}"), "checks")
        }
        Request::HealthCheck(backend) => health::check(&context, &backend),
        Request::ConfigValidate(source) => config::validate(&context, &source),
        Request::ConfigShow(None) => context.show::<Item<ConfigText>>("/v1/config"),
        Request::ConfigShow(Some(generation)) => {
            context.show::<Item<ConfigText>>(&format!("/v1/config/history/{generation}"))
        }
        Request::ConfigHistory => {
            context.list::<ConfigVersion>("/v1/config/history", "configurations")
        }
        Request::ConfigRollback(generation, how) => config::rollback(&context, generation, &how),
        Request::ConfigDiff(source) => config::diff(&context, &source),
        Request::ConfigApply(source, how) => config::apply(&context, &source, &how),
        Request::StateExport => context.show::<Item<StateBackup>>("/v1/state"),
        Request::StateImport(source, yes) => state::import(&context, &source, yes),
        Request::Trace(trace) => {
            let answer: Document<Item<Trace>> =
                context.client.send(&Method::POST, "/v1/trace", &trace)?;
            context.print(&answer)
        }
        Request::Events(query) => events::run(&context, query),
        Request::Doctor => doctor::run(&context),
        Request::Completion(shell) => completion::run(shell),
    }
}

impl Context<'_> {
    /// Fetches a document and prints it.
    fn show<T: DeserializeOwned + View>(&self, path: &str) -> Result<Exit, CtlError> {
        let document: Document<T> = self.client.fetch(path)?;
        self.print(&document)
    }

    /// As [`Self::show`]; an empty list is said so, but not on stdout.
    fn list<T>(&self, path: &str, things: &str) -> Result<Exit, CtlError>
    where
        T: DeserializeOwned,
        List<T>: View,
    {
        let document: Document<List<T>> = self.client.fetch(path)?;
        if document.typed.items.is_empty() && self.options.format.is_text() {
            self.console.note(&format!("No {things}."));
        }
        self.print(&document)
    }

    /// Prints a document in the form asked for.
    fn print<T: View>(&self, document: &Document<T>) -> Result<Exit, CtlError> {
        let text = render::document(document, self.options.format, self.console.palette)?;
        print(&text)?;
        Ok(Exit::Ok)
    }
}

/// Whether an error means that there is nobody to ask, rather than a bad answer.
const fn is_out_of_reach(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Absent { .. }
            | ClientError::NotListening { .. }
            | ClientError::Denied { .. }
            | ClientError::Connect { .. }
            | ClientError::Lost { .. }
            | ClientError::TimedOut { .. }
    )
}
