//! Guarded routes whose requests an earlier route takes.

use super::{Route, node::Node};
use crate::{excerpt::excerpt, routing::RouteTable};

/// Warns about every route whose requests go to an earlier one without its policies. As the first match wins, the
/// hosted gateway would let them pass as well, but the route table shows the route as guarded. `operations` are those
/// of the routes.
pub(super) fn warn(routes: &[Route], operations: &[Node<'_>]) {
    let entries = routes.iter().map(Route::entry).collect::<Vec<_>>();
    let table = RouteTable::new(&entries);
    for (index, (route, operation)) in routes.iter().zip(operations).enumerate() {
        let (Some(own), Some(before)) = (entries.get(index), entries.get(..index)) else { continue };
        if own.guards.is_empty() {
            continue;
        }
        let alone = RouteTable::new(std::slice::from_ref(own));
        let example = route.pattern.examples().find(|path| alone.find(&route.method, path).is_ok());
        let first = example.and_then(|path| table.find(&route.method, &path).ok());
        let Some(earlier) = first.and_then(|first| before.get(first)) else { continue };
        if own.guards.iter().any(|guard| !earlier.guards.contains(guard)) {
            operation.warn(format!(
                "is guarded in vain: `{}` stands before it and takes the same requests without these policies; put it first",
                excerpt(earlier.pattern.as_str())
            ));
        }
    }
}
