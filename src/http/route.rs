//! Routes: an operation declared once. Its router, access check, description, metric label and permitted
//! query parameters all come from its [`Route`]; [`super::routes`] is the table.
//!
//! A route is built in this order: method, path and name; who may call it; body, parameters, answers and
//! refusals; its handler. [`Declared::to`] takes only a handler whose first argument is the extractor that
//! performs the declared check: `Allowed<O>` with the declared `O`, or `Public` on an open path. Any other
//! handler does not compile, which the tests below hold.

use std::any::TypeId;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};
use warden_api::Problem as Refusal;
use warden_api::word::Scope;

use super::access::Access;
use super::openapi::{Answer, Body};
use super::parameter::{Parameter, Place};
use super::problem::Problem;
use super::request::Query;
use super::server::{Allowed, Open, Over, Public, Server};

/// Who may call an operation, and under which load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// Anybody, whatever the load.
    Health,
    /// Anybody.
    Open,
    /// Who presents a token with this scope.
    Token(Scope),
}

/// What the daemon needs to know of an operation while it serves a request.
#[derive(Clone, Copy)]
pub struct Operation {
    pub exposure: Exposure,
    /// The type that implements [`Over`].
    pub over: TypeId,
    /// In groups.
    pub parameters: &'static [&'static [Parameter]],
    is_query_ignored: bool,
}

impl Operation {
    /// Requires the declared scope.
    pub fn check_scope(self, access: &Access) -> Result<(), Problem> {
        match self.exposure {
            Exposure::Token(scope) => access.require(scope),
            Exposure::Health | Exposure::Open => Ok(()),
        }
    }

    /// Rejects parameters that are not declared, so that a mistake is not ignored.
    pub fn check_query(self, query: &str) -> Result<(), Problem> {
        if self.is_query_ignored {
            return Ok(());
        }
        // The usual case, without parsing the values.
        let is_known = |pair: &str| self.takes(pair.split_once('=').map_or(pair, |(name, _)| name));
        if query.split('&').filter(|pair| !pair.is_empty()).all(is_known) {
            return Ok(());
        }
        Query::parse(query)?.check(self.query_parameters())
    }

    /// The names of the query parameters.
    fn query_parameters(self) -> impl Iterator<Item = &'static str> + Clone {
        let all = self.parameters.iter().copied().flatten();
        all.filter(|parameter| parameter.place == Place::Query).map(|parameter| parameter.name)
    }

    /// Whether a query parameter is declared.
    pub fn takes(self, name: &str) -> bool {
        self.query_parameters().any(|known| known == name)
    }
}

/// An operation with its handler and its description.
pub struct Route {
    pub method: Method,
    pub path: &'static str,
    pub operation: Operation,
    pub description: Description,
    pub handler: MethodRouter<Arc<Server>>,
}

/// What only the API description says of an operation.
#[derive(Default)]
pub struct Description {
    pub name: &'static str,
    pub tag: &'static str,
    /// The summary, and after an empty line the rest.
    pub about: &'static str,
    pub body: Body,
    pub answers: Vec<(u16, &'static str, Answer)>,
    /// The problems beyond those that [`super::openapi`] adds for exposure, method and body.
    pub refusals: Vec<Refusal>,
}

/// A route without its check.
pub struct Undeclared {
    method: (Method, MethodFilter),
    path: &'static str,
    name: &'static str,
}

macro_rules! methods {
    ($($name:ident: $method:ident;)*) => {
        impl Route {
            $(pub fn $name(path: &'static str, name: &'static str) -> Undeclared {
                Undeclared { method: (Method::$method, MethodFilter::$method), path, name }
            })*
        }
    };
}

methods! {
    get: GET;
    put: PUT;
    post: POST;
    patch: PATCH;
    delete: DELETE;
}

impl Undeclared {
    /// A token with the scope, checked over `O`.
    pub fn needs<O: Over>(self, scope: Scope) -> Declared<O> {
        self.declared(Exposure::Token(scope))
    }

    /// No token.
    pub fn open(self) -> Declared<Open> {
        self.declared(Exposure::Open)
    }

    /// No token, and an answer whatever the load.
    pub fn health(self) -> Declared<Open> {
        self.declared(Exposure::Health)
    }

    fn declared<O: 'static>(self, exposure: Exposure) -> Declared<O> {
        let Self { method, path, name } = self;
        let is_query_ignored = !matches!(exposure, Exposure::Token(_));
        let operation = Operation { exposure, over: TypeId::of::<O>(), parameters: &[], is_query_ignored };
        let description = Description { name, ..Description::default() };
        Declared { method, path, operation, description, over: PhantomData }
    }
}

/// A route without its handler, which performs the check over `O`.
pub struct Declared<O> {
    method: (Method, MethodFilter),
    path: &'static str,
    operation: Operation,
    description: Description,
    over: PhantomData<fn() -> O>,
}

impl<O> Declared<O> {
    /// The summary, and after an empty line the rest, in Markdown.
    pub fn about(mut self, text: &'static str) -> Self {
        self.description.about = text;
        self
    }

    pub fn body(mut self, body: Body) -> Self {
        self.description.body = body;
        self
    }

    /// Parameters in groups; those of the path are known from it.
    pub fn takes(mut self, parameters: &'static [&'static [Parameter]]) -> Self {
        self.operation.parameters = parameters;
        self
    }

    /// Ignores every query parameter.
    pub fn ignores_query(mut self) -> Self {
        self.operation.is_query_ignored = true;
        self
    }

    pub fn answers(mut self, status: u16, text: &'static str, answer: Answer) -> Self {
        self.description.answers.push((status, text, answer));
        self
    }

    /// The problems that only this operation has.
    pub fn refuses(mut self, problems: &[Refusal]) -> Self {
        self.description.refusals.extend(problems);
        self
    }

    /// The handler. Its first argument performs the declared check.
    pub fn to<H, T>(self, handler: H) -> Route
    where
        H: Handler<T, Arc<Server>>,
        T: Checked<O> + 'static,
    {
        let Self { method: (method, filter), path, operation, description, over: _ } = self;
        Route { method, path, operation, description, handler: on(filter, handler) }
    }
}

/// The arguments of a handler, as axum names them, that begin with the check over `O`.
pub trait Checked<O> {}

/// A handler without arguments can do nothing.
impl Checked<Open> for ((),) {}

macro_rules! checked {
    ($($argument:ident),*) => {
        impl<M, O, $($argument),*> Checked<O> for (M, Allowed<O>, $($argument,)*) {}
        impl<M, $($argument),*> Checked<Open> for (M, Public, $($argument,)*) {}
    };
}

checked!();
checked!(A);
checked!(A, B);
checked!(A, B, C);
checked!(A, B, C, D);

/// The operations by path.
pub struct Operations(HashMap<&'static str, PathOperations>);

/// The operations of a path.
pub struct PathOperations {
    path: &'static str,
    operations: Vec<(Method, Operation)>,
}

impl Operations {
    pub fn of(routes: &[Route]) -> Self {
        let mut paths: HashMap<&'static str, PathOperations> = HashMap::new();
        for route in routes {
            let empty = || PathOperations { path: route.path, operations: Vec::new() };
            let path = paths.entry(route.path).or_insert_with(empty);
            path.operations.push((route.method.clone(), route.operation));
        }
        Self(paths)
    }

    pub fn at(&self, path: &str) -> Option<&PathOperations> {
        self.0.get(path)
    }
}

impl PathOperations {
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// The operation of a method; `HEAD` is served by that of `GET`.
    pub fn operation(&self, method: &Method) -> Option<Operation> {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        self.operations.iter().find(|(own, _)| own == method).map(|(_, operation)| *operation)
    }

    /// The exposure of the path, also to methods that it does not support: that of its first operation.
    pub fn exposure(&self) -> Option<Exposure> {
        self.operations.first().map(|(_, operation)| operation.exposure)
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::Request;

    use super::*;
    use crate::http::server::{AnyWorkflow, Everything, InPath, Matching};
    use crate::model::{ItemKey, WorkflowName};

    /// Compiles only if the arguments are no handler's of a route that is checked over `$over`: with a second
    /// implementation of the trait the call would be ambiguous.
    macro_rules! refuses {
        ($over:ty: $arguments:ty) => {{
            trait Unambiguous<A> {
                fn hold() {}
            }
            impl<T> Unambiguous<()> for T {}
            impl<T: Checked<$over>> Unambiguous<u8> for T {}
            <$arguments as Unambiguous<_>>::hold();
        }};
    }

    fn accepts<O, T: Checked<O>>() {}

    type M = ();

    #[test]
    fn a_handler_is_taken_only_if_its_first_argument_is_the_declared_check() {
        accepts::<InPath<ItemKey>, (M, Allowed<InPath<ItemKey>>, Query, Request)>();
        accepts::<AnyWorkflow, (M, Allowed<AnyWorkflow>)>();
        accepts::<Open, (M, Public)>();
        refuses!(InPath<ItemKey>: (M, Query, Request));
        refuses!(InPath<ItemKey>: (M, Query, Allowed<InPath<ItemKey>>));
        refuses!(InPath<ItemKey>: (M, Allowed<InPath<WorkflowName>>, Query));
        refuses!(InPath<ItemKey>: (M, Allowed<AnyWorkflow>, Query));
        refuses!(Everything: (M, Allowed<Matching>));
        refuses!(Everything: ((),));
        refuses!(Everything: (M, Public));
        refuses!(Open: (M, Allowed<AnyWorkflow>));
    }
}
