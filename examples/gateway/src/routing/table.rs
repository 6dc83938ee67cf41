//! All routes in their order.

use std::collections::HashMap;

use http::Method;

use super::{
    PathPattern,
    spelling::{fold, has_one_reading, is_plain, readings},
    tree::{Segment, Tree},
};

/// A route of the table.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The method of the route.
    pub(crate) method: Method,
    /// The path of the route.
    pub(crate) pattern: PathPattern,
    /// The names of those of its policies that may reject a request; empty: the route is open.
    pub(crate) guards: Vec<String>,
}

/// All routes, tried in their order.
#[derive(Clone, Debug)]
pub(crate) struct RouteTable {
    methods: Vec<(Method, MethodTable)>,
}

/// Why no route takes a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NoRoute {
    /// The path could be read in two ways, and one of them would pass by a guard (400).
    Ambiguous,
    /// No route has this method and path (404).
    NotFound,
}

impl RouteTable {
    /// Makes the table of these routes.
    pub(crate) fn new(entries: &[Entry]) -> Self {
        let mut numbers = HashMap::new();
        for guard in entries.iter().flat_map(|entry| &entry.guards) {
            let next = numbers.len();
            numbers.entry(guard.as_str()).or_insert(next);
        }
        let mut methods: Vec<Method> = Vec::new();
        for entry in entries {
            if !methods.contains(&entry.method) {
                methods.push(entry.method.clone());
            }
        }
        if methods.contains(&Method::GET) && !methods.contains(&Method::HEAD) {
            methods.push(Method::HEAD);
        }
        let methods = methods.into_iter().map(|method| {
            let mut table = MethodTable::default();
            table.extend(entries, &method, &numbers);
            if method == Method::HEAD {
                table.extend(entries, &Method::GET, &numbers);
            }
            (method, table)
        });
        Self { methods: methods.collect() }
    }

    /// Finds the index of the route of a request: the first one in the order of the files. A HEAD request takes the
    /// route of HEAD, or else that of GET.
    ///
    /// The path must have passed [`check`](super::path::check).
    pub(crate) fn find(&self, method: &Method, path: &str) -> Result<usize, NoRoute> {
        let table = self.methods.iter().find(|(known, _)| known == method);
        table.map_or(Err(NoRoute::NotFound), |(_, table)| table.find(path))
    }

    /// Finds the indexes of the routes that a request with this path could take, one for each method that has a route.
    pub(crate) fn find_any_method(&self, path: &str) -> impl Iterator<Item = usize> {
        self.methods.iter().filter_map(move |(_, table)| table.find(path).ok())
    }
}

/// The routes of one method.
#[derive(Clone, Debug, Default)]
struct MethodTable {
    /// By rank.
    routes: Vec<Ranked>,
    /// Compares paths as they are.
    exact: Tree,
    /// Takes patterns and paths in any case, decoded, without a slash at the end.
    loose: Tree,
    /// Whether expressions of the operator's own tell cases apart, and so see all of them.
    tells_cases_apart: bool,
    /// All guards of all routes.
    guards: Guards,
    /// The lowest rank of a guarded route that takes canonical paths which its exact pattern does not.
    first_with_spellings: Option<usize>,
}

#[derive(Clone, Debug)]
struct Ranked {
    /// In the entries of the table.
    index: usize,
    guards: Guards,
}

impl MethodTable {
    fn extend(&mut self, entries: &[Entry], method: &Method, numbers: &HashMap<&str, usize>) {
        for (index, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.method == *method) {
            let rank = self.routes.len();
            let PathPattern { segments, expressions, .. } = &entry.pattern;
            self.exact.insert(rank, segments, expressions.as_ref().map(|expressions| &expressions.exact));
            let loose = expressions.as_ref().map(|expressions| &expressions.loose);
            self.loose.insert(rank, &loose_segments(segments, loose.is_none()), loose);
            let guards = Guards::new(entry, numbers);
            if entry.pattern.has_spellings && !guards.0.is_empty() {
                self.first_with_spellings.get_or_insert(rank);
            }
            self.tells_cases_apart |= entry.pattern.tells_cases_apart;
            self.guards.0.extend(&guards.0);
            self.routes.push(Ranked { index, guards });
        }
        self.guards.0.sort_unstable();
        self.guards.0.dedup();
    }

    fn find(&self, path: &str) -> Result<usize, NoRoute> {
        let rank = self.exact.first(path, &[path]).ok_or(NoRoute::NotFound)?;
        let route = self.routes.get(rank).ok_or(NoRoute::NotFound)?;
        if route.guards.include(&self.guards) {
            return Ok(route.index);
        }
        let one_reading = has_one_reading(path);
        // In another case, the first route is at most as far down as this one.
        if one_reading && is_plain(path) && self.first_with_spellings.is_none_or(|first| first >= rank) {
            return Ok(route.index);
        }
        let passes_by =
            |reading: &str| self.first_in_any_case(reading).is_some_and(|first| !route.guards.include(first));
        let is_ambiguous = if one_reading {
            passes_by(path)
        } else {
            readings(path).is_none_or(|readings| readings.iter().any(|reading| passes_by(reading)))
        };
        if is_ambiguous { Err(NoRoute::Ambiguous) } else { Ok(route.index) }
    }

    /// The guards of the first route to whose pattern case and a slash at the end mean nothing.
    fn first_in_any_case(&self, reading: &str) -> Option<&Guards> {
        let reading = reading.trim_end_matches('/');
        let small = format!("{}/", fold(reading));
        let rank = if self.tells_cases_apart {
            let (sent, capital) = (format!("{reading}/"), format!("{}/", reading.to_uppercase()));
            let texts = [&small, &sent, &capital].map(|text| [without_slash(text), text.as_str()]);
            self.loose.first(without_slash(&small), texts.as_flattened())
        } else {
            self.loose.first(without_slash(&small), &[without_slash(&small), &small])
        };
        self.routes.get(rank?).map(|route| &route.guards)
    }
}

fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path)
}

/// Numbers of guards, in their order.
#[derive(Clone, Debug, Default)]
struct Guards(Vec<usize>);

impl Guards {
    fn new(entry: &Entry, numbers: &HashMap<&str, usize>) -> Self {
        let mut guards: Vec<usize> =
            entry.guards.iter().filter_map(|name| numbers.get(name.as_str()).copied()).collect();
        guards.sort_unstable();
        guards.dedup();
        Self(guards)
    }

    fn include(&self, others: &Self) -> bool {
        others.0.iter().all(|guard| self.0.binary_search(guard).is_ok())
    }
}

/// Segments as `first_in_any_case` compares them.
fn loose_segments(segments: &[Segment], is_all: bool) -> Vec<Segment> {
    let loose = segments.iter().map(|segment| match segment {
        Segment::Parameter => Segment::Parameter,
        Segment::Text(text) => Segment::Text(fold(text)),
    });
    let mut loose: Vec<Segment> = loose.collect();
    let shortest = usize::from(is_all);
    while loose.len() > shortest && loose.last().is_some_and(|last| *last == Segment::Text(String::new())) {
        loose.pop();
    }
    loose
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{Entry, NoRoute, RouteTable};
    use crate::routing::{PathMode, PathPattern};

    /// `GET /a key`: method, path, guard. Paths with `:`, `(` or `*` are URL patterns.
    fn table(routes: &[&str]) -> RouteTable {
        let entries = routes.iter().map(|route| {
            let mut words = route.split(' ');
            let method = words.next().unwrap().parse().unwrap();
            let path = words.next().unwrap();
            let mode = if path.contains([':', '(', '*']) { PathMode::UrlPattern } else { PathMode::OpenApi };
            let pattern = PathPattern::parse(path, mode).unwrap();
            Entry { method, pattern, guards: words.map(str::to_owned).collect() }
        });
        RouteTable::new(&entries.collect::<Vec<_>>())
    }

    fn find(table: &RouteTable, path: &str) -> Result<usize, NoRoute> {
        table.find(&Method::GET, path)
    }

    #[test]
    fn the_first_route_in_the_order_wins() {
        let table = table(&["GET /a/{x}", "GET /a/b", "GET /(.*)", "GET /c", "GET /a/:x/(d|e)", "GET /a/{x}/d"]);
        for (path, index) in [("/a/b", 0), ("/a/c", 0), ("/c", 2), ("/a/b/d", 2), ("/", 2)] {
            assert_eq!(find(&table, path), Ok(index), "{path}");
        }
        let table = self::table(&["GET /a/b", "GET /a/:x/(d|e)", "GET /a/{x}/d", "GET /a/{x}", "GET /{x}/b"]);
        for (path, index) in [("/a/b", 0), ("/a/b/d", 1), ("/a/c", 3), ("/c/b", 4)] {
            assert_eq!(find(&table, path), Ok(index), "{path}");
        }
        assert_eq!(find(&table, "/A/b"), Ok(4));
        assert_eq!(find(&table, "/c"), Err(NoRoute::NotFound));
        assert_eq!(table.find(&Method::POST, "/a/b"), Err(NoRoute::NotFound));
    }

    #[test]
    fn head_takes_its_own_route_or_that_of_get() {
        let table = table(&["GET /a", "GET /{x}", "HEAD /{x}", "POST /b"]);
        assert_eq!(table.find(&Method::HEAD, "/a"), Ok(2));
        let table = self::table(&["POST /b", "GET /a"]);
        assert_eq!(table.find(&Method::HEAD, "/a"), Ok(1));
        assert_eq!(table.find(&Method::HEAD, "/b"), Err(NoRoute::NotFound));
    }

    #[test]
    fn routes_of_every_method_are_found_by_their_path() {
        let table = table(&["TRACE /a", "POST /{x}", "GET /b"]);
        let found = |path: &str| table.find_any_method(path).collect::<Vec<_>>();
        assert_eq!(found("/a"), [0, 1]);
        assert_eq!(found("/b"), [1, 2, 2], "HEAD takes the route of GET");
        assert_eq!(found("/a/b"), [0_usize; 0]);
    }

    #[test]
    fn an_open_route_does_not_open_a_guarded_one_in_another_spelling() {
        let table =
            table(&["GET /admin/{x} key", "GET /Case key", "GET /caf%C3%A9 key", "GET /docs/(.*) key", "GET /(.*)"]);
        for path in [
            "/admin//x",
            "//admin/x",
            "/Admin/x",
            "/admin/x/",
            "/%61dmin/x",
            // One segment with a slash in it, for who decodes only what needs no encoding.
            "/%61dmin/x%2Fy",
            "/admin%2Fx",
            "/admin%252fx",
            "/admin\\x",
            "/admin%5cx",
            "/admin;a=b/x",
            "/admin%3ba/x",
            "/admin./x",
            "/admin%20/x",
            "/adm\u{131}n/x",
            "/case",
            "/%43ase",
            "/caf%c3%a9",
            "/CAF%C3%A9",
            "/caf%C3%89",
            "/docs",
            "/Docs/a",
        ] {
            assert_eq!(find(&table, path), Err(NoRoute::Ambiguous), "{path}");
        }
        for path in ["/admin/x", "/Case", "/caf%C3%A9", "/docs/"] {
            assert!(matches!(find(&table, path), Ok(0..4)), "{path}");
        }
        for path in ["/admin", "/admin/x/y", "/other/A%20b", "/", "/admins/x/", "/a//b", "/a%2Fb"] {
            assert_eq!(find(&table, path), Ok(4), "{path}");
        }
    }

    #[test]
    fn an_open_route_before_a_guarded_rest_stays_usable() {
        let table = table(&["GET /public/{x}", "GET /(.*) key"]);
        for path in ["/public/a", "/public/A%20b", "/public/a;v=1", "/public/100%25", "/public/user_2aB", "/public/a."]
        {
            assert_eq!(find(&table, path), Ok(0), "{path}");
        }
        for path in
            ["/public/a%2Fadmin", "/public/a%2F", "/public/%2Fa", "/public/a\\b", "/public/;x", "/public/a;%2Fb"]
        {
            assert!(matches!(find(&table, path), Err(NoRoute::Ambiguous) | Ok(0)), "{path}");
        }
        assert_eq!(find(&table, "/public/a%2Fadmin"), Err(NoRoute::Ambiguous));
        assert_eq!(find(&table, "/public/a\\b"), Err(NoRoute::Ambiguous));
        assert_eq!(find(&table, "/public%2Fadmin"), Ok(1));
        assert_eq!(find(&table, "/PUBLIC/a"), Ok(1));
    }

    #[test]
    fn a_route_with_other_guards_is_not_open_to_those_of_the_first() {
        let table = table(&["GET /a admin key", "GET /b key", "GET /c", "GET /(.*) key"]);
        assert_eq!(find(&table, "/A"), Err(NoRoute::Ambiguous));
        assert_eq!(find(&table, "/B"), Ok(3));
        assert_eq!(find(&table, "/C"), Ok(3));
    }

    #[test]
    fn expressions_that_tell_cases_apart_guard_in_all_of_them() {
        let table = table(&["GET /:x([^a-z]+)/b key", "GET /c/:x([A-Z]+) key", "GET /(.*)"]);
        assert_eq!(find(&table, "/%41BC/b"), Ok(0));
        for path in ["/ab%43/b", "/abc/b", "/ABC/B", "/c/a", "/c/%41", "/C/A"] {
            assert_eq!(find(&table, path), Err(NoRoute::Ambiguous), "{path}");
        }
        assert_eq!(find(&table, "/ABC/b"), Ok(0));
        assert_eq!(find(&table, "/c/1"), Ok(2));
    }

    #[test]
    fn head_meets_the_guards_of_get() {
        let table = table(&["GET /admin key", "HEAD /(.*)"]);
        assert_eq!(table.find(&Method::HEAD, "/admin"), Ok(1));
        let table = self::table(&["GET /admin key", "GET /(.*)"]);
        assert_eq!(table.find(&Method::HEAD, "/Admin"), Err(NoRoute::Ambiguous));
    }

    #[test]
    fn a_path_with_too_many_readings_is_refused_only_where_there_are_guards() {
        let path = "/a%20;b%25253b\\c.//%25255c.;d%2Fe. /%253b%2520.%5c;f";
        assert_eq!(super::readings(path), None);
        assert_eq!(find(&table(&["GET /(.*)"]), path), Ok(0));
        assert_eq!(find(&table(&["GET /(.*)", "GET /b key"]), path), Err(NoRoute::Ambiguous));
    }
}
