//! Reading whole folders: what is accepted, and how every rule refuses.

use std::{fs, sync::Arc};

use gateway::{
    Fault,
    documents::{AnyOr, Context, Documents, Handler, OriginPattern, PolicyAction, Route, RouteCors, read, read_folder},
    route_table,
};
use http::Method;

fn variable(name: &str) -> Option<String> {
    let value = match name {
        "CLERK_FRONTEND_API_URL" => "https://clerk.example.com",
        "API_KEY" => "hush-hush-key",
        "ORIGINS" => "https://a.example, https://b.example",
        "UPSTREAM" => "https://internal.example",
        "BLANK" => "",
        _ => return None,
    };
    Some(value.to_owned())
}

fn files(files: &[(&str, &str)]) -> Result<Documents, Vec<Fault>> {
    let files: Vec<_> = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let context = Context { variable: &variable, is_registered: &|name| name.starts_with("own-") };
    read(&files, &context)
}

fn pair(policies: &str, routes: &str) -> Result<Documents, Vec<Fault>> {
    files(&[("policies.json", policies), ("routes.oas.json", routes)])
}

/// A document with these members in `paths`.
fn paths(members: &str) -> String {
    format!(r#"{{"openapi": "3.1.0", "info": {{"title": "A", "version": "1"}}, "paths": {{{members}}}}}"#)
}

/// A document with one route, whose `x-zuplo-route` has these members beside the handler.
fn route(members: &str) -> String {
    paths(&format!(r#""/a": {{"get": {{"x-zuplo-route": {{{HANDLER}{members}}}}}}}"#))
}

/// A document with one route whose list of policies is this.
fn inbound(names: &str) -> String {
    route(&format!(r#", "policies": {{"inbound": {names}}}"#))
}

fn faults(result: Result<Documents, Vec<Fault>>) -> Vec<String> {
    result.err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[track_caller]
fn refused_once(result: Result<Documents, Vec<Fault>>, start: &str) {
    let faults = faults(result);
    assert!(matches!(&faults[..], [fault] if fault.starts_with(start)), "expected {start}, found {faults:#?}");
}

/// The names of the policies of a route.
fn names(route: &Route) -> Vec<&str> {
    route.policies.iter().map(|policy| policy.name.as_str()).collect()
}

#[test]
fn a_folder_of_the_hosted_gateway_is_read_whole() {
    let documents = pair(POLICIES, ROUTES).unwrap();
    let summary: Vec<_> = documents
        .routes
        .iter()
        .map(|route| (route.method.as_str(), route.pattern.as_str(), names(route).join(" ")))
        .collect();
    assert_eq!(
        summary,
        [
            ("GET", "/todos/{id}", "clerk tag".to_owned()),
            ("DELETE", "/todos/{id}", "clerk tag own-audit".to_owned()),
            ("POST", "/files/:name", String::new()),
        ]
    );
    assert_eq!(documents.routes[0].cors, RouteCors::Named(Arc::clone(&documents.cors_policies[0])));
    assert_eq!(documents.routes[1].cors, RouteCors::AnythingGoes);
    assert_eq!(documents.routes[2].cors, RouteCors::None);
    assert!(matches!(documents.routes[0].handler, Handler::Forward { forward_search: true, .. }));
    assert!(matches!(documents.routes[2].handler, Handler::Rewrite { forward_search: false, .. }));
    let names: Vec<_> = documents.policies.iter().map(|policy| policy.name.as_str()).collect();
    assert_eq!(names, ["clerk", "tag", "own-audit"]);
    assert!(matches!(documents.policies[2].action, PolicyAction::Custom));
    let cors: Vec<_> = documents.cors_policies.iter().map(|policy| policy.name.as_str()).collect();
    assert_eq!(cors, ["web"], "no route names the other one");
    assert_eq!(documents.warnings, []);
}

#[test]
fn the_route_table_has_one_line_a_route_and_no_value_of_a_variable() {
    let table = route_table(&pair(POLICIES, ROUTES).unwrap());
    let expected = "\
guarded  GET     /todos/{id}   clerk, tag             web            ${env.UPSTREAM}/
guarded  DELETE  /todos/{id}   clerk, tag, own-audit  anything-goes  https://api.example.com
open     POST    /files/:name  -                      -              https://files.example.com/v1/${params.name}
";
    assert_eq!(table, expected);
}

#[test]
fn the_route_table_says_who_may_use_a_route() {
    let policies = r#"{"policies": [
        {"name": "strict", "policyType": "x", "handler": {"export": "ClerkJwtInboundPolicy",
            "module": "$import(@zuplo/runtime)", "options": {"frontendApiUrl": "https://clerk.example.com"}}},
        {"name": "lenient", "policyType": "x", "handler": {"export": "ClerkJwtInboundPolicy",
            "module": "$import(@zuplo/runtime)", "options": {"frontendApiUrl": "https://clerk.example.com",
            "allowUnauthenticatedRequests": true}}},
        {"name": "strip", "policyType": "x", "handler": {"export": "RemoveHeadersInboundPolicy",
            "module": "$import(@zuplo/runtime)", "options": {"headers": ["cookie"]}}}]}"#;
    let cases = [
        ("[]", "open"),
        (r#"["strip"]"#, "open"),
        (r#"["own-x", "strip"]"#, "custom"),
        (r#"["lenient", "own-x"]"#, "optional"),
        (r#"["lenient", "strict"]"#, "guarded"),
        (r#"["strict"]"#, "guarded"),
    ];
    for (names, access) in cases {
        let table = route_table(&pair(policies, &inbound(names)).unwrap());
        assert!(table.starts_with(&format!("{access}  GET  /a  ")), "{names}: {table}");
    }
}

#[test]
fn every_fault_of_every_file_is_reported_in_the_order_of_the_files() {
    let found = faults(files(&[
        ("b.oas.json", r#"{"openapi": "2.0", "paths": {"no-slash": {}, "/x": {"GET": {}}}}"#),
        ("policies.json", r#"{"policies": [{"name": "a"}], "corsPolicies": 1, "x": 1}"#),
        ("a.oas.json", &inbound(r#"["a", "nobody"]"#)),
        ("c.oas.json", "{"),
        ("notes.txt", "{"),
    ]));
    let places: Vec<_> = found.iter().map(|fault| fault.split(": ").take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        places,
        [
            "policies.json $.x",
            "policies.json $.corsPolicies",
            "policies.json $.policies[0]",
            "policies.json $.policies[0]",
            "a.oas.json $.paths['/a'].get['x-zuplo-route'].policies.inbound[1]",
            "b.oas.json $.openapi",
            "b.oas.json $.paths['no-slash']",
            "b.oas.json $.paths['/x'].GET",
            "c.oas.json $",
        ],
        "{found:#?}"
    );
}

#[test]
fn routes_files_are_read_in_the_byte_order_of_their_names() {
    let of = |path: &str| paths(&format!(r#""{path}": {{"get": {{"x-zuplo-route": {{{HANDLER}}}}}}}"#));
    let documents = files(&[
        ("b.oas.json", &of("/b")),
        ("a.oas.json", &of("/a")),
        ("B.oas.json", &of("/upper")),
        ("policies.json", NO_POLICIES),
    ])
    .unwrap();
    let order: Vec<_> = documents.routes.iter().map(|route| route.pattern.as_str()).collect();
    assert_eq!(order, ["/upper", "/a", "/b"]);
}

#[test]
fn a_second_route_of_the_same_method_and_path_is_a_warning() {
    let a = paths(&format!(
        r#""/a": {{"get": {{"x-zuplo-route": {{{HANDLER}}}}}, "put": {{"x-zuplo-route": {{{HANDLER}}}}}}}"#
    ));
    let documents = files(&[("policies.json", NO_POLICIES), ("a.oas.json", &a), ("b.oas.json", &route(""))]).unwrap();
    assert_eq!(documents.routes.len(), 3);
    let warnings: Vec<_> = documents.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("b.oas.json: $.paths['/a'].get: is never reached: a.oas.json has"), "{warnings:?}");
}

#[test]
fn a_second_route_in_another_path_mode_is_no_warning() {
    let other = paths(&format!(
        r#""/a": {{"x-zuplo-path": {{"pathMode": "url-pattern"}}, "get": {{"x-zuplo-route": {{{HANDLER}}}}}}}"#
    ));
    let documents =
        files(&[("policies.json", NO_POLICIES), ("a.oas.json", &route("")), ("b.oas.json", &other)]).unwrap();
    assert_eq!(documents.warnings, []);
}

#[test]
fn files_that_are_missing_are_faults() {
    refused_once(files(&[("a.oas.json", &route(""))]), "policies.json: $: the folder has no such file");
    refused_once(files(&[("a.oas.json", &inbound(r#"["x"]"#))]), "policies.json: $: the folder has no such file");
    refused_once(files(&[("policies.json", NO_POLICIES)]), "*.oas.json: $: the folder has no such file");
    assert_eq!(faults(files(&[])).len(), 2);
}

#[test]
fn documents_without_a_route_are_a_fault_only_if_no_other_has_one() {
    for empty in [r#"{"openapi": "3.0.3"}"#, r#"{"openapi": "3.0.3", "paths": {}}"#, &paths(r#""/a": {"get": {}}"#)] {
        refused_once(pair(NO_POLICIES, empty), "*.oas.json: $.paths: no operation has `x-zuplo-route`");
        let documents =
            files(&[("policies.json", NO_POLICIES), ("a.oas.json", empty), ("b.oas.json", &route(""))]).unwrap();
        assert_eq!(documents.routes.len(), 1);
    }
}

#[test]
fn a_file_that_is_not_strict_json_is_one_fault() {
    for (text, place) in [
        ("{ // comment\n}", "line 1 column 3"),
        ("\u{feff}{}", "byte order mark"),
        ("{} x", "line 1 column 4"),
        ("", "line 1 column 0"),
    ] {
        let found = faults(pair(NO_POLICIES, text));
        assert!(found.len() == 1 && found[0].starts_with("routes.oas.json: $: "), "{found:?}");
        assert!(found[0].contains(place), "{found:?}");
        let found = faults(pair(text, &inbound(r#"["x"]"#)));
        assert!(found.len() == 1 && found[0].starts_with("policies.json: $: "), "{found:?}");
    }
}

#[test]
fn a_member_that_appears_twice_is_a_fault_with_its_path() {
    refused_once(
        pair(r#"{"policies": [], "policies": []}"#, &route("")),
        "policies.json: $.policies: the object has an",
    );
    let twice = paths(&format!(r#""/a": {{"get": {{"x-zuplo-route": {{{HANDLER}}}, "tags": {{"a": 1, "a": 2}}}}}}"#));
    refused_once(pair(NO_POLICIES, &twice), "routes.oas.json: $.paths['/a'].get.tags.a: the object has an");
}

#[test]
fn the_shape_of_policies_json_is_checked() {
    let routes = route("");
    refused_once(
        pair("[]", &routes),
        "policies.json: $: must be an object that has the array as a member: {\"policies\": […]}",
    );
    refused_once(pair("1", &routes), "policies.json: $: must be an object");
    refused_once(pair("{}", &routes), "policies.json: $: `policies` is missing");
    refused_once(pair(r#"{"policies": {}}"#, &routes), "policies.json: $.policies: must be an array");
    refused_once(pair(r#"{"policies": [], "policy": []}"#, &routes), "policies.json: $.policy: is not a known member");
    refused_once(
        pair(r#"{"policies": [], "corsPolicies": {}}"#, &routes),
        "policies.json: $.corsPolicies: must be an array",
    );
}

#[test]
fn a_policy_that_cannot_be_run_is_refused_at_every_route_that_names_it() {
    let policies = r#"{"policies": [{"name": "limit", "policyType": "rate-limit-inbound", "handler": {
        "export": "RateLimitInboundPolicy", "module": "$import(@zuplo/runtime)", "options": {}}}]}"#;
    refused_once(
        pair(policies, &inbound(r#"["own-x", "limit"]"#)),
        "routes.oas.json: $.paths['/a'].get['x-zuplo-route'].policies.inbound[1]: the policy `limit` (`RateLimit",
    );
    refused_once(
        pair(policies, &inbound(r#"["nobody"]"#)),
        "routes.oas.json: $.paths['/a'].get['x-zuplo-route'].policies.inbound[0]: policies.json has no policy `nobody`",
    );
    assert!(pair(policies, &inbound(r#"["own-x"]"#)).is_ok());
    assert!(pair(&policies.replace("limit\"", "own-limit\""), &inbound(r#"["own-limit"]"#)).is_ok());
}

#[test]
fn mistakes_beside_a_list_of_policies_never_open_a_route() {
    let at = "routes.oas.json: $.paths['/a'].get['x-zuplo-route'].";
    let cases = [
        (r#", "policies": {"inbund": ["own-x"]}"#, "policies.inbund: is not a known member"),
        (r#", "policies": ["own-x"]"#, "policies: must be an object"),
        (r#", "policies": null"#, "policies: must be an object"),
        (r#", "policies": {"inbound": "own-x"}"#, "policies.inbound: must be an array"),
        (r#", "policies": {"inbound": null}"#, "policies.inbound: must be an array"),
        (r#", "policies": {"inbound": [null]}"#, "policies.inbound[0]: must be a string"),
        (r#", "policies": {"inbound": [""]}"#, "policies.inbound[0]: must not be empty"),
        (r#", "policies": {"inbound": ["$env(API_KEY)"]}"#, "policies.inbound[0]: `$env()` is replaced only below"),
        (r#", "policies": {"outbound": ["own-x"]}"#, "policies.outbound: policies for responses are not supported"),
        (r#", "policies": {"outbound": 1}"#, "policies.outbound: must be an array"),
        (r#", "polices": {"inbound": ["own-x"]}"#, "polices: is not a known member"),
    ];
    for (members, expected) in cases {
        refused_once(pair(NO_POLICIES, &route(members)), &format!("{at}{expected}"));
    }
    assert!(pair(NO_POLICIES, &route(r#", "policies": {"inbound": ["own-x", "own-x"], "outbound": []}"#)).is_ok());
    assert!(pair(NO_POLICIES, &route(r#", "policies": {}"#)).is_ok());
}

#[test]
fn a_cors_policy_is_built_in_or_one_of_the_file() {
    let policies = r#"{"policies": [], "corsPolicies": [{"name": "web", "allowedOrigins": "$env(ORIGINS)"}]}"#;
    let cors = |name: &str| pair(policies, &route(&format!(r#", "corsPolicy": {name}"#)));
    assert_eq!(
        cors(r#""web""#).unwrap().cors_policies[0].allowed_origins,
        AnyOr::List(
            ["https://a.example", "https://b.example"].map(|origin| OriginPattern::Exact(origin.to_owned())).to_vec()
        )
    );
    assert_eq!(cors(r#""none""#).unwrap().routes[0].cors, RouteCors::None);
    assert_eq!(cors(r#""anything-goes""#).unwrap().routes[0].cors, RouteCors::AnythingGoes);
    let at = "routes.oas.json: $.paths['/a'].get['x-zuplo-route'].corsPolicy: ";
    refused_once(cors(r#""app""#), &format!("{at}policies.json has no `app` in `corsPolicies`"));
    refused_once(cors("null"), &format!("{at}must be a string"));
    refused_once(cors(r#""$env(ORIGINS)""#), &format!("{at}`$env()` is replaced only"));
}

#[test]
fn only_openapi_3_is_read() {
    for version in [r#""3.0.0""#, r#""3.0.3""#, r#""3.1.0""#, r#""3.2.0""#] {
        assert!(pair(NO_POLICIES, &route("").replace(r#""3.1.0""#, version)).is_ok(), "{version}");
    }
    for version in [r#""2.0""#, r#""4.0.0""#, r#""31""#, r#""""#] {
        refused_once(
            pair(NO_POLICIES, &route("").replace(r#""3.1.0""#, version)),
            "routes.oas.json: $.openapi: must be",
        );
    }
    refused_once(
        pair(NO_POLICIES, &route("").replace(r#""3.1.0""#, "3.1")),
        "routes.oas.json: $.openapi: must be a string",
    );
    let found = faults(pair(NO_POLICIES, &route("").replace(r#""openapi": "3.1.0""#, r#""swagger": "2.0""#)));
    assert!(found.len() == 1 && found[0].contains("convert the Swagger document"), "{found:?}");
    refused_once(pair(NO_POLICIES, "[]"), "routes.oas.json: $: must be an object");
    refused_once(
        pair(NO_POLICIES, r#"{"openapi": "3.0.3", "paths": []}"#),
        "routes.oas.json: $.paths: must be an object",
    );
}

#[test]
fn path_items_have_methods_in_lower_case_and_what_is_ignored() {
    let operation = format!(r#"{{"x-zuplo-route": {{{HANDLER}}}}}"#);
    let methods = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
    let members: Vec<_> = methods.iter().map(|method| format!(r#""{method}": {operation}"#)).collect();
    let ignored = r#""summary": 1, "description": 1, "parameters": 1, "servers": 1, "x-own": 1"#;
    let text = paths(&format!(r#""/a": {{{ignored}, {}}}, "x-own": 1"#, members.join(", ")));
    let documents = pair(NO_POLICIES, &text).unwrap();
    let found: Vec<_> = documents.routes.iter().map(|route| route.method.clone()).collect();
    assert_eq!(found, methods.map(|method| method.to_uppercase().parse::<Method>().unwrap()));

    for (member, expected) in [
        ("GET", "$.paths['/a'].GET: is not a known member; expected one of: get"),
        ("gett", "$.paths['/a'].gett: is not a known member; expected one of: get"),
        ("query", "$.paths['/a'].query: is not a known member; expected one of: get"),
        ("$ref", "$.paths['/a']['$ref']: a path item in another place"),
    ] {
        let text = paths(&format!(r#""/a": {{"{member}": {operation}, "put": {operation}}}"#));
        refused_once(pair(NO_POLICIES, &text), &format!("routes.oas.json: {expected}"));
    }
    for (path, item, expected) in [
        ("a", format!(r#"{{"get": {operation}}}"#), "$.paths.a: must begin with `/`"),
        ("a", "{}".to_owned(), "$.paths.a: must begin with `/`"),
        ("", "{}".to_owned(), "$.paths['']: must begin with `/`"),
        ("/$env(API_KEY)", "{}".to_owned(), "$.paths['/$env(API_KEY)']: `$env()` is replaced only"),
        ("/a", "[]".to_owned(), "$.paths['/a']: must be an object"),
        ("/a", r#"{"get": []}"#.to_owned(), "$.paths['/a'].get: must be an object"),
        ("/a", r#"{"get": {"x-zuplo-route": []}}"#.to_owned(), "$.paths['/a'].get['x-zuplo-route']: must be an object"),
        (
            "/a",
            r#"{"get": {"x-zuplo-route": {}}}"#.to_owned(),
            "$.paths['/a'].get['x-zuplo-route']: `handler` is missing",
        ),
    ] {
        let text = paths(&format!(r#""/other": {{"get": {operation}}}, "{path}": {item}"#));
        refused_once(pair(NO_POLICIES, &text), &format!("routes.oas.json: {expected}"));
    }
}

#[test]
fn the_path_mode_is_one_of_two() {
    let with_mode = |path: &str, mode: &str| {
        let text = format!(r#""{path}": {{"x-zuplo-path": {mode}, "get": {{"x-zuplo-route": {{{HANDLER}}}}}}}"#);
        pair(NO_POLICIES, &paths(&text))
    };
    assert!(with_mode("/a/{id}", r#"{"pathMode": "open-api"}"#).is_ok());
    assert!(with_mode("/a/:id", r#"{"pathMode": "url-pattern"}"#).is_ok());
    assert!(with_mode("/a/{id}", "{}").is_ok());
    let at = "routes.oas.json: $.paths['/a']['x-zuplo-path']";
    refused_once(
        with_mode("/a", r#"{"pathMode": "urlpattern"}"#),
        &format!("{at}.pathMode: must be open-api or url-pattern"),
    );
    refused_once(with_mode("/a", r#"{"pathMod": "url-pattern"}"#), &format!("{at}.pathMod: is not a known member"));
    refused_once(with_mode("/a", r#"{"pathMode": 1}"#), &format!("{at}.pathMode: must be a string"));
    refused_once(with_mode("/a", r#""url-pattern""#), &format!("{at}: must be an object"));
    refused_once(with_mode("/a/:id", r#"{"pathMode": "open-api"}"#), "routes.oas.json: $.paths['/a/:id']: ");
}

#[test]
fn members_of_a_route_that_do_nothing_here_are_warnings() {
    let documents = pair(NO_POLICIES, &route(r#", "version": "none", "mcp": {}"#)).unwrap();
    let warned: Vec<_> = documents.warnings.iter().map(|warning| warning.path.as_str()).collect();
    let at = "$.paths['/a'].get['x-zuplo-route'].";
    assert_eq!(warned, [format!("{at}version"), format!("{at}mcp")]);
}

#[test]
fn handlers_that_are_not_supported_are_refused_at_the_route() {
    let text = paths(
        r#""/a": {"get": {"x-zuplo-route": {"handler": {"export": "default", "module": "$import(./modules/hello)"}}}}"#,
    );
    refused_once(
        pair(NO_POLICIES, &text),
        "routes.oas.json: $.paths['/a'].get['x-zuplo-route'].handler: the handler `default` of `$import(./",
    );
}

#[test]
fn all_faults_of_a_route_are_reported_at_once() {
    let text = paths(
        r#""/a/:id": {"get": {"x-zuplo-route": {"corsPolicy": "app", "handlers": 1, "policies": {"inbound": ["a", 1]},
            "handler": {"export": "urlRewriteHandler", "module": "$import(@zuplo/runtime)",
                "options": {"rewritePattern": "https://a.example/${params.id}/${env.UNSET}/${no}", "x": 1}}}}}"#,
    );
    let found = faults(pair(NO_POLICIES, &text));
    let mut places: Vec<_> = found.iter().filter_map(|fault| fault.split(": ").nth(1)).collect();
    places.sort_unstable();
    let at = "$.paths['/a/:id']";
    let route = format!("{at}.get['x-zuplo-route']");
    let expected = [
        at.to_owned(),
        format!("{route}.corsPolicy"),
        format!("{route}.handler.options.rewritePattern"),
        format!("{route}.handler.options.rewritePattern"),
        format!("{route}.handler.options.x"),
        format!("{route}.handlers"),
        format!("{route}.policies.inbound[1]"),
    ];
    assert_eq!(places, expected, "{found:#?}");
}

#[test]
fn unknown_options_of_policies_are_warnings() {
    let policies = POLICIES.replace(r#""frontendApiUrl""#, r#""secretKey": "$env(UNSET)", "frontendApiUrl""#);
    let documents = pair(&policies, ROUTES).unwrap();
    let warnings: Vec<_> = documents.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].starts_with("policies.json: $.policies[0].handler.options.secretKey: is not a known option"));
}

#[test]
fn no_value_of_a_variable_is_in_what_is_printed() {
    let documents = pair(POLICIES, ROUTES).unwrap();
    assert!(!format!("{documents:?}").contains("hush-hush"), "{documents:?}");
    let bad = POLICIES.replace(r#""Key $env(API_KEY)""#, r#""$env(API_KEY)\n""#);
    let found = faults(pair(&bad, ROUTES));
    assert!(found.len() == 1 && !found[0].contains("hush-hush"), "{found:?}");
}

#[test]
fn a_folder_is_read_from_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let context = Context { variable: &variable, is_registered: &|name| name.starts_with("own-") };
    fs::write(folder.path().join("policies.json"), POLICIES).unwrap();
    fs::write(folder.path().join("routes.oas.json"), ROUTES).unwrap();
    fs::write(folder.path().join("package.json"), "not read").unwrap();
    assert_eq!(read_folder(folder.path(), &context).unwrap().routes.len(), 3);

    fs::write(folder.path().join("a.oas.json"), b"{\"a\": \"\xff\"}").unwrap();
    fs::create_dir(folder.path().join("b.oas.json")).unwrap();
    let found = faults(read_folder(folder.path(), &context));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("a.oas.json: $: must be UTF-8, and is not after 7 bytes"), "{found:?}");
    assert!(found[1].starts_with("b.oas.json: $: the file cannot be read: "), "{found:?}");

    let missing = folder.path().join("missing");
    let found = faults(read_folder(&missing, &context));
    assert!(found.len() == 1 && found[0].contains("the folder cannot be read: "), "{found:?}");
}

#[test]
fn faults_of_files_with_long_names_stay_together() {
    let names = ["b", "a"].map(|end| format!("{}{end}.oas.json", "x".repeat(70)));
    let found = faults(files(&[
        ("policies.json", NO_POLICIES),
        (&names[0], r#"{"openapi": "3.0.0", "paths": {"second": {}}}"#),
        (&names[1], &inbound(r#"["nobody"]"#)),
    ]));
    let members: Vec<_> = found.iter().map(|fault| (fault.contains("second"), fault.starts_with("xxx"))).collect();
    assert_eq!(members, [(false, true), (true, true)], "{found:#?}");
}

#[test]
fn names_of_files_and_members_cannot_write_to_the_terminal() {
    let found = faults(files(&[
        ("policies.json", NO_POLICIES),
        ("\u{1b}[2J.oas.json", r#"{"openapi": "3.0.0", "paths": {"\u001b[2J\n": {}}}"#),
    ]));
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with(r"\u{1b}[2J.oas.json: $.paths['\u{1b}[2J\n']: "), "{found:?}");
}

const HANDLER: &str = r#""handler": {"export": "urlForwardHandler", "module": "$import(@zuplo/runtime)",
    "options": {"baseUrl": "https://api.example.com"}}"#;

const NO_POLICIES: &str = r#"{"policies": []}"#;

const POLICIES: &str = r#"{
    "policies": [
        {"name": "clerk", "policyType": "clerk-jwt-auth-inbound", "handler": {"export": "ClerkJwtInboundPolicy",
            "module": "$import(@zuplo/runtime)", "options": {"frontendApiUrl": "$env(CLERK_FRONTEND_API_URL)"}}},
        {"handler": {"module": "$import(@zuplo/runtime)", "export": "SetHeadersInboundPolicy",
            "options": {"headers": [{"name": "x-api-key", "value": "Key $env(API_KEY)"}]}},
            "name": "tag", "policyType": "x"},
        {"name": "all", "policyType": "composite-inbound", "handler": {"export": "CompositeInboundPolicy",
            "module": "$import(@zuplo/runtime)", "options": {"policies": ["clerk", "tag"]}}},
        {"name": "unused", "policyType": "rate-limit-inbound", "handler": {"export": "RateLimitInboundPolicy",
            "module": "$import(@zuplo/runtime)", "options": {"x": "$env(UNSET)"}}}
    ],
    "corsPolicies": [
        {"name": "web", "allowedOrigins": ["https://app.example.com"], "maxAge": 600},
        {"name": "unused", "allowedOrigins": "https://*.example.com"}
    ]
}"#;

const ROUTES: &str = r##"{
    "openapi": "3.1.0", "info": {"title": "Todos", "version": "1"}, "servers": [{"url": "$env(IGNORED)"}],
    "components": {"schemas": {"Todo": {"$ref": "#/nowhere", "type": ["odd", 1]}}},
    "paths": {
        "/todos/{id}": {
            "summary": "One", "parameters": [], "x-zuplo-path": {"pathMode": "open-api"},
            "get": {"operationId": "one", "responses": {"200": 1}, "x-zuplo-route": {"corsPolicy": "web",
                "handler": {"export": "urlForwardHandler", "module": "$import(@zuplo/runtime)",
                    "options": {"baseUrl": "${env.UPSTREAM}/"}},
                "policies": {"inbound": ["all"]}}},
            "delete": {"x-zuplo-route": {"corsPolicy": "anything-goes",
                "handler": {"export": "urlForwardHandler", "module": "$import(@zuplo/runtime)",
                    "options": {"baseUrl": "https://api.example.com"}},
                "policies": {"inbound": ["clerk", "tag", "own-audit"]}}},
            "patch": {"summary": "no route"}
        },
        "/files/:name": {
            "x-zuplo-path": {"pathMode": "url-pattern"},
            "post": {"x-zuplo-route": {"corsPolicy": "none",
                "handler": {"export": "urlRewriteHandler", "module": "$import(@zuplo/runtime)",
                    "options": {"forwardSearch": false,
                        "rewritePattern": "https://files.example.com/v1/${params.name}"}}}}
        }
    }
}"##;
