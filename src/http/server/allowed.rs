//! The way from a request to the services: the extractors that check the access of its token.
//!
//! Each type that implements [`Over`] is something that a scope can be checked over, and a route declares
//! one. What the head of a request shows is checked before the handler runs. For everything else the handler
//! has to present what it has read, and gets the services in return.

use std::any::TypeId;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use futures_util::future::BoxFuture;

use super::Server;
use super::serve::Call;
use crate::http::access::Access;
use crate::http::problem::Problem;
use crate::http::request::FromPath;
use crate::http::view::ItemFacts;
use crate::model::{
    ArtifactId, Delivery, DeliveryId, Incident, IncidentId, Item, ItemFilter, LeaseId, Moment, ReplayId,
    Silence, SilenceId, WorkflowName,
};
use crate::warden::intake::{BatchItem, Done};
use crate::warden::{Health, Intake, ReplayEntry, Warden, WardenError};

/// The services, for a request whose access was checked.
#[derive(Clone)]
pub struct Services {
    server: Arc<Server>,
    access: Access,
}

impl Deref for Services {
    type Target = Warden;

    fn deref(&self) -> &Warden {
        &self.server.warden
    }
}

impl Services {
    /// Budgets and limits.
    pub fn server(&self) -> &Server {
        &self.server
    }

    pub fn access(&self) -> &Access {
        &self.access
    }

    pub fn moment(&self) -> Moment {
        self.server.moment()
    }

    /// An item with the facts shown beside it.
    pub fn facts(&self, item: Item) -> ItemFacts {
        let incident = self.alerting.incident_of(&item);
        let step_index = item.step_index(&self.workflows.policy(&item.workflow));
        let artifacts = self.artifacts.of_run(&item.key(), |workflow| self.access.admits(workflow));
        ItemFacts { moment: self.moment(), incident, step_index, artifacts, item }
    }

    /// Those of these deliveries whose workflows the token includes.
    pub async fn visible_deliveries(&self, deliveries: Vec<Delivery>) -> Result<Vec<Delivery>, WardenError> {
        let mut known: Vec<(IncidentId, Option<WorkflowName>)> = Vec::new();
        let mut visible = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            let Some(incident) = delivery.incident().cloned() else {
                let admits = delivery.item.as_ref().is_some_and(|item| self.access.admits(&item.workflow));
                visible.extend(admits.then_some(delivery));
                continue;
            };
            let place = match known.iter().position(|(known, _)| *known == incident) {
                Some(place) => place,
                None => {
                    let workflow = match self.alerting.incident(incident.clone()).await {
                        Ok(incident) => Some(incident.key.workflow),
                        // Removed in the meantime.
                        Err(WardenError::IncidentNotFound) => None,
                        Err(error) => return Err(error),
                    };
                    known.push((incident, workflow));
                    known.len() - 1
                }
            };
            if known[place].1.as_ref().is_some_and(|workflow| self.access.admits(workflow)) {
                visible.push(delivery);
            }
        }
        Ok(visible)
    }
}

/// What a scope is checked over.
pub trait Over: Sized + Send + 'static {
    /// Checks what the head of the request shows, after the scope.
    fn check(parts: &mut Parts, access: &Access) -> impl Future<Output = Result<Self, Problem>> + Send;
}

/// The workflow in the path, which is parsed as `P`.
pub struct InPath<P>(P);

impl<P: FromPath> Over for InPath<P> {
    async fn check(parts: &mut Parts, access: &Access) -> Result<Self, Problem> {
        let found = P::from_path(parts).await?;
        access.require_workflow(found.workflow())?;
        Ok(Self(found))
    }
}

/// All workflows: the token must not be limited to some.
pub struct Everything;

impl Over for Everything {
    async fn check(_: &mut Parts, access: &Access) -> Result<Self, Problem> {
        access.require_all_workflows().map(|()| Self)
    }
}

macro_rules! checked_later {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $($(#[$doc])* pub struct $name;

        impl Over for $name {
            async fn check(_: &mut Parts, _: &Access) -> Result<Self, Problem> {
                Ok(Self)
            }
        })*
    };
}

checked_later! {
    /// Any workflow. The handler shows what the token includes.
    AnyWorkflow;
    /// The items that a filter selects, limited to the workflows of the token.
    Matching;
    /// The workflows that the body names by globs.
    InBody;
    /// The workflow of each line of the body.
    EachLine;
    /// The workflow of the leased item.
    OfLease;
    /// The workflow of the incident.
    OfIncident;
    /// The workflow of the delivery's incident or item.
    OfDelivery;
    /// The workflows of the silence.
    OfSilence;
    /// The workflows of the replay.
    OfReplay;
    /// The workflows of the artifacts.
    OfArtifact;
}

/// The access of a request, of which the scope and what the head shows have been checked.
pub struct Allowed<O> {
    services: Services,
    over: O,
}

impl<O: Over> FromRequestParts<Arc<Server>> for Allowed<O> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, server: &Arc<Server>) -> Result<Self, Problem> {
        // Set by the outermost layer. Without it, or for another check than the declared one, nothing is
        // allowed.
        let call = parts.extensions.get::<Call>();
        let Some(Call { operation, access, .. }) =
            call.filter(|call| call.operation.over == TypeId::of::<O>())
        else {
            return Err(Problem::unauthorized("no token was checked"));
        };
        let (operation, access) = (*operation, access.clone());
        operation.check_scope(&access)?;
        let over = O::check(parts, &access).await?;
        operation.check_query(parts.uri.query().unwrap_or_default())?;
        Ok(Self { services: Services { server: server.clone(), access }, over })
    }
}

impl<O> Allowed<O> {
    /// Budgets and limits.
    pub fn server(&self) -> &Server {
        &self.services.server
    }

    pub fn access(&self) -> &Access {
        &self.services.access
    }
}

impl<P> Allowed<InPath<P>> {
    /// The services, and what the path names.
    pub fn granted(self) -> (Services, P) {
        (self.services, self.over.0)
    }
}

impl Allowed<Everything> {
    pub fn granted(self) -> Services {
        self.services
    }
}

impl Allowed<AnyWorkflow> {
    /// The services, and the access that decides what the response may contain.
    pub fn visible(self) -> (Services, Access) {
        let access = self.services.access.clone();
        (self.services, access)
    }
}

impl Allowed<Matching> {
    /// The services, and the filter limited to the workflows of the token.
    pub fn matching(self, filter: ItemFilter) -> (Services, ItemFilter) {
        let filter = ItemFilter { allowed: self.services.access.workflows(), ..filter };
        (self.services, filter)
    }
}

impl Allowed<InBody> {
    /// The services, if the token includes every workflow that one of these globs may match.
    pub fn for_all<'a>(self, globs: impl IntoIterator<Item = &'a str>) -> Result<Services, Problem> {
        for glob in globs {
            self.services.access.require_all(glob)?;
        }
        Ok(self.services)
    }
}

/// A line whose workflow the token includes.
pub struct AdmittedLine(BatchItem);

impl Allowed<EachLine> {
    /// The line, if the token includes its workflow.
    pub fn admit(&self, line: BatchItem) -> Result<AdmittedLine, Problem> {
        self.services.access.require_workflow(line.workflow())?;
        Ok(AdmittedLine(line))
    }

    /// Submits lines. They are queued for commit when this returns.
    pub fn submit(
        &self,
        lines: Vec<AdmittedLine>,
    ) -> BoxFuture<'static, Result<Vec<Result<Done, WardenError>>, WardenError>> {
        Intake::submit(&self.services.intake, lines.into_iter().map(|line| Ok(line.0)).collect())
    }
}

impl Allowed<OfLease> {
    /// The services, the lease, its item, and the parsed body, if the token includes the item's workflow. The
    /// item is read after the body, which may arrive slowly.
    pub async fn lease<T>(
        &self,
        id: &str,
        document: impl Future<Output = Result<T, Problem>>,
    ) -> Result<(&Services, LeaseId, Item, T), Problem> {
        let Services { access, .. } = &self.services;
        let lease: LeaseId = id.parse().map_err(|_| WardenError::LeaseNotFound)?;
        let document = document.await?;
        let recovery = &self.services.recovery;
        let item = recovery.leased_item(lease, |item| access.admits(&item.workflow)).await?;
        Ok((&self.services, lease, item, document))
    }
}

// What another workflow owns does not exist for the client.

impl Allowed<OfIncident> {
    /// The services and the incident, if the token includes its workflow.
    pub async fn incident(self, id: String) -> Result<(Services, Incident), Problem> {
        let incident = self.services.alerting.incident(IncidentId(id.into())).await?;
        if !self.services.access.admits(&incident.key.workflow) {
            return Err(WardenError::IncidentNotFound.into());
        }
        Ok((self.services, incident))
    }
}

impl Allowed<OfDelivery> {
    /// The services, if the token includes the workflow of the delivery's incident.
    pub async fn delivery(self, id: &DeliveryId) -> Result<Services, Problem> {
        if self.services.access.is_limited() {
            let delivery = self.services.alerting.delivery(id.clone()).await?;
            if self.services.visible_deliveries(vec![delivery]).await?.is_empty() {
                return Err(WardenError::DeliveryNotFound.into());
            }
        }
        Ok(self.services)
    }
}

impl Allowed<OfSilence> {
    /// The services and the silence, if the token could have created it.
    pub fn silence(self, id: &SilenceId) -> Result<(Services, Silence), Problem> {
        let silence = self.services.silences.get(id)?;
        if !self.services.access.admits_all(&silence.workflow) {
            return Err(WardenError::SilenceNotFound.into());
        }
        Ok((self.services, silence))
    }
}

impl Allowed<OfReplay> {
    /// The services and the replay, if the token could have started it.
    pub fn replay(self, id: String) -> Result<(Services, ReplayEntry), Problem> {
        let entry = self.services.replays.get(&ReplayId(id.into()))?;
        if !self.services.access.admits_replay(&entry.replay.filter) {
            return Err(WardenError::ReplayNotFound.into());
        }
        Ok((self.services, entry))
    }
}

impl Allowed<OfArtifact> {
    /// The services, if the token includes the workflow of the artifact.
    pub fn artifact(self, id: &ArtifactId) -> Result<Services, Problem> {
        if self.includes(id) { Ok(self.services) } else { Err(WardenError::ArtifactNotFound(None).into()) }
    }

    /// The services, if the token includes the workflows of all these artifacts.
    pub fn artifacts<'a>(self, ids: impl IntoIterator<Item = &'a ArtifactId>) -> Result<Services, Problem> {
        match ids.into_iter().find(|id| !self.includes(id)) {
            None => Ok(self.services),
            Some(id) => Err(WardenError::ArtifactNotFound(Some(id.clone())).into()),
        }
    }

    fn includes(&self, id: &ArtifactId) -> bool {
        let workflow = self.services.artifacts.workflow_of(id);
        workflow.is_some_and(|workflow| self.services.access.admits(&workflow))
    }
}

/// What a route without a token is checked over: nothing.
pub struct Open;

/// A request that needs no token.
pub struct Public(Arc<Server>);

impl Public {
    pub fn server(&self) -> &Server {
        &self.0
    }

    pub fn health(&self) -> &Health {
        &self.0.warden.health
    }
}

impl FromRequestParts<Arc<Server>> for Public {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(_: &mut Parts, server: &Arc<Server>) -> Result<Self, Self::Rejection> {
        Ok(Self(server.clone()))
    }
}
