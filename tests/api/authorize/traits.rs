use std::{
    cell::Cell,
    fmt::Debug,
    future::{Ready, ready},
    rc::Rc,
};

use tower_clerk::{
    ClerkAuth, Rejection, Requirement,
    authorize::{Authorized, Policy, RequireAuthenticatedLayer, RequireLayer, RequireService, ResponseFuture},
    claims::{Reverification, ReverificationLevel},
    testing::TokenBuilder,
};
use tower_layer::Layer;

use super::{reader, user};
use crate::support::{Recorder, token};

/// Neither `Send`, `Sync`, `Clone` nor `Debug`. A policy is only a type.
struct Named(#[expect(dead_code, reason = "it is a name")] Rc<Cell<u8>>);

impl Policy for Named {
    fn requirement() -> Requirement {
        Requirement::role("org:admin")
    }
}

fn is_shared<T: Clone + Debug + Send + Sync + 'static>() {}

fn is_sent<T: Debug + Send + Sync>(_: &T) {}

#[test]
fn public_types_are_send_sync_clone_and_debug() {
    is_shared::<Requirement>();
    is_shared::<Reverification>();
    is_shared::<ReverificationLevel>();
    is_shared::<RequireLayer>();
    is_shared::<RequireAuthenticatedLayer>();
    is_shared::<RequireService<Rejection>>();
    is_shared::<Authorized<Named>>();
    let _: fn() -> RequireAuthenticatedLayer = RequireAuthenticatedLayer::default;
}

#[test]
fn the_response_future_is_send_and_unpin_if_the_inner_one_is() {
    fn of<F>(_: fn() -> F) -> Option<ResponseFuture<F>> {
        None
    }
    fn is_unpin<T: Unpin>(_: &T) {}
    let future = of(|| ready(7));
    is_sent(&future);
    is_unpin(&future);
    let _: Option<ResponseFuture<Ready<i32>>> = future;
}

#[test]
fn a_clone_gives_the_same_verdicts() {
    let requirement = Requirement::role("admin").and(Requirement::predicate(|user| user.user_id() == "user_ada"));
    for (token, expected) in [(reader(), true), (token(), false)] {
        assert_eq!(user(&token).has(&requirement), expected);
        assert_eq!(user(&token).has(&requirement.clone()), expected);
    }
    let authorized = Authorized::<Named>::new(user(&reader())).expect("an admin");
    assert_eq!(authorized.clone().user_id(), authorized.user_id());
}

#[test]
fn debug_of_a_requirement_hides_predicates() {
    let secret = "org_secret".to_owned();
    let is_own = Requirement::predicate(move |user: &ClerkAuth| {
        user.organization().is_some_and(|organization| organization.id() == secret)
    });
    assert_eq!(format!("{is_own:?}"), "Predicate(..)");
    let either = Requirement::any_of([
        Requirement::permission("org:a:read").and(Requirement::feature("o:a")).and(is_own),
        Requirement::plan("u:pro").and(Requirement::instance("main")),
        Requirement::any_of([]),
    ]);
    let shown = r#"AnyOf([All([Permission("org:a:read"), Feature("o:a"), Predicate(..)]), All([Plan("u:pro"), Instance("main")]), AnyOf([])])"#;
    assert_eq!(format!("{either:?}"), shown);
    let role = Requirement::role("org:admin").and(Requirement::reverification(Reverification::strict()));
    let shown = format!("{role:?}");
    assert!(shown.starts_with(r#"All([Role("org:admin"), Reverification("#) && shown.contains("strict"), "{shown}");
}

#[test]
fn debug_of_an_authorized_user_hides_the_user() {
    let granted: TokenBuilder = reader().claim("act", serde_json::json!({ "sub": "user_root" }));
    let authorized = Authorized::<Named>::new(user(&granted)).expect("an admin");
    let shown = r#"Authorized(ClerkAuth { instance: "https://clerk.test.example", version: Some(2), .. })"#;
    assert_eq!(format!("{authorized:?}"), shown);
    let rejection = user(&granted).require(&Requirement::role("org:owner")).expect_err("no owner");
    for shown in [format!("{authorized:#?}"), format!("{rejection:?} {rejection}")] {
        for secret in ["user_", "sess_", "org_", "org:", "owner", "admin", "invoices"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[test]
fn debug_of_layers_shows_their_requirement() {
    let layer = RequireLayer::new(Requirement::role("org:admin").and(Requirement::predicate(|_| true)));
    for shown in [format!("{layer:?}"), format!("{:?}", layer.layer("inner"))] {
        assert!(shown.contains(r#"All([Role("org:admin"), Predicate(..)])"#), "{shown}");
    }
    assert!(format!("{:?}", layer.layer("inner")).contains(r#""inner""#));
    assert!(format!("{:?}", RequireAuthenticatedLayer::new().or::<Named2>()).starts_with("RequireAuthenticatedLayer"));
    let mut service = layer.layer(Recorder::default());
    assert_eq!(service.get_mut().calls(), 0);
}

/// A user of another scheme. It only has to fit into extensions.
#[derive(Clone)]
struct Named2;
