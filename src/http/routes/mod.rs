//! The table of routes: every operation, with who may call it, what it takes, answers and refuses.

mod alerts;
mod artifacts;
mod items;
mod operation;
mod recovery;
mod runs;
mod workflows;

use super::route::Route;

pub fn all() -> Vec<Route> {
    let tags: [(&str, Vec<Route>); 7] = [
        ("items", items::routes()),
        ("recovery", recovery::routes()),
        ("workflows", workflows::routes()),
        ("runs", runs::routes()),
        ("alerts", alerts::routes()),
        ("artifacts", artifacts::routes()),
        ("operation", operation::routes()),
    ];
    let tagged = |(tag, routes): (&'static str, Vec<Route>)| {
        routes.into_iter().map(move |mut route| {
            route.description.tag = tag;
            route
        })
    };
    tags.into_iter().flat_map(tagged).collect()
}
