//! Authorization: bearer tokens with scopes and workflow globs.
//!
//! Only the SHA-256 of a token is configured. A presented token is compared with each configured one in
//! constant time, so timing reveals nothing.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use warden_api::word::Scope;
use wildmatch::WildMatch;

use super::problem::Problem;
use crate::config::TokenSettings;
use crate::model::replay::ReplayFilter;
use crate::warden::WardenError;

struct Token {
    sha256: [u8; 32],
    access: Access,
}

pub struct Tokens(Vec<Token>);

/// The access of a request. Without configured tokens it is everything; the daemon then serves loopback only.
#[derive(Clone)]
pub struct Access(Option<Arc<Grant>>);

struct Grant {
    name: String,
    scopes: Vec<Scope>,
    workflows: Vec<WildMatch>,
    /// No glob is `*`.
    is_limited: bool,
}

impl Grant {
    fn holds(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|held| held.includes(scope))
    }
}

impl Tokens {
    pub fn new(tokens: &[TokenSettings]) -> Self {
        let token = |settings: &TokenSettings| Token {
            sha256: settings.sha256,
            access: Access(Some(Arc::new(Grant {
                name: settings.name.clone(),
                scopes: settings.scopes.clone(),
                workflows: settings.workflows.iter().map(|glob| WildMatch::new(glob)).collect(),
                is_limited: !settings.workflows.iter().any(|glob| glob == "*"),
            }))),
        };
        Self(tokens.iter().map(token).collect())
    }

    /// The access of the token in these headers. Fails if a token is required and absent or unknown.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Access, Problem> {
        if self.0.is_empty() {
            return Ok(Access(None));
        }
        let refuse = |detail: &'static str| Err(Problem::unauthorized(detail).challenge());
        let Some(value) = headers.get(AUTHORIZATION) else {
            return refuse("a token is required; send Authorization: Bearer <token>");
        };
        let bytes = value.as_bytes();
        let presented = match bytes.split_at_checked(7) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => token.trim_ascii(),
            _ => return refuse("the Authorization header must be: Bearer <token>"),
        };
        let presented: [u8; 32] = Sha256::digest(presented).into();
        let mut found = u32::MAX;
        for (position, token) in (0..).zip(&self.0) {
            let same: Choice = presented.ct_eq(&token.sha256);
            found.conditional_assign(&position, same);
        }
        match self.0.get(found as usize) {
            Some(token) => Ok(token.access.clone()),
            None => refuse("the token is unknown"),
        }
    }
}

impl Access {
    /// Requires a scope.
    pub fn require(&self, scope: Scope) -> Result<(), Problem> {
        match &self.0 {
            Some(grant) if !grant.holds(scope) => {
                let scope = scope.as_str();
                Err(Problem::forbidden(format!("the token {} lacks the scope {scope}", grant.name)))
            }
            _ => Ok(()),
        }
    }

    /// Whether a client may see an item that it changes. If not, the response contains only what the request
    /// sent, and the resulting state and version.
    pub fn may_read(&self) -> bool {
        self.0.as_ref().is_none_or(|grant| grant.holds(Scope::Read))
    }

    /// Requires that the token includes a workflow.
    pub fn require_workflow(&self, workflow: &str) -> Result<(), Problem> {
        match &self.0 {
            Some(grant) if !grant.workflows.iter().any(|glob| glob.matches(workflow)) => Err(
                Problem::forbidden(format!("the token {} is not for the workflow {workflow}", grant.name)),
            ),
            _ => Ok(()),
        }
    }

    /// Requires that the token includes every workflow that the glob may match.
    pub fn require_all(&self, glob: &str) -> Result<(), Problem> {
        match &self.0 {
            Some(grant) if !self.admits_all(glob) => Err(Problem::forbidden(format!(
                "the token {} is not for all the workflows {glob}",
                grant.name
            ))),
            _ => Ok(()),
        }
    }

    /// Requires a token that is not limited to some workflows.
    pub fn require_all_workflows(&self) -> Result<(), Problem> {
        match &self.0 {
            Some(grant) if self.is_limited() => Err(Problem::forbidden(format!(
                "the token {} is limited to some workflows, but this affects all of them",
                grant.name
            ))),
            _ => Ok(()),
        }
    }

    /// The problem of a failed write. A token that may not read items learns only the state of an item in its
    /// way.
    pub fn explain(&self, error: WardenError) -> Problem {
        match error {
            WardenError::ItemConflict { .. } if !self.may_read() => Problem::item_conflict(
                "the item is open with another payload; close it first, or create this one under another id",
            ),
            WardenError::ItemClosed(_) if !self.may_read() => {
                Problem::item_closed("the item is closed; its id is free again when its retention has ended")
            }
            error => error.into(),
        }
    }

    /// Whether the token is limited to some workflows.
    pub fn is_limited(&self) -> bool {
        self.0.as_ref().is_some_and(|grant| grant.is_limited)
    }

    /// Whether the token includes every workflow that the glob may match: it has `*`, or this very glob.
    pub fn admits_all(&self, glob: &str) -> bool {
        let is_name = !glob.contains(['*', '?']);
        let admits = |own: &WildMatch| {
            let own_glob = own.to_string();
            own_glob == "*" || own_glob == glob || (is_name && own.matches(glob))
        };
        self.0.as_ref().is_none_or(|grant| grant.workflows.iter().any(admits))
    }

    /// Whether the token includes every workflow that a replay's filter may match.
    pub fn admits_replay(&self, filter: &ReplayFilter) -> bool {
        globs(&filter.workflows).all(|glob| self.admits_all(glob))
    }

    /// The token's name in the configuration.
    pub fn name(&self) -> Option<&str> {
        self.0.as_ref().map(|grant| grant.name.as_str())
    }

    /// The globs of the token; empty without tokens.
    pub fn workflows(&self) -> Vec<WildMatch> {
        self.0.as_ref().map(|grant| grant.workflows.clone()).unwrap_or_default()
    }

    pub fn admits(&self, workflow: &str) -> bool {
        self.0.as_ref().is_none_or(|grant| grant.workflows.iter().any(|glob| glob.matches(workflow)))
    }
}

/// The globs of a replay's filter; without any it is for all workflows.
pub fn globs(workflows: &[Arc<str>]) -> impl Iterator<Item = &str> {
    workflows.is_empty().then_some("*").into_iter().chain(workflows.iter().map(|glob| &**glob))
}
