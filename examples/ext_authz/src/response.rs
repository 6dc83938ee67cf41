//! What Envoy is told to do.

use bytes::Bytes;
use envoy_types::{
    ext_authz::v3::pb::{
        CheckResponse, DeniedHttpResponse, HeaderAppendAction, HeaderValue, HeaderValueOption, HttpResponse,
        HttpStatus, HttpStatusCode, OkHttpResponse,
    },
    pb::google::{
        protobuf::{ListValue, Struct, Value, value::Kind},
        rpc,
    },
};
use http::{HeaderMap, HeaderName, Response, StatusCode};
use tonic::Code;
use tower_clerk::{Principal, Rejection, rejection::RejectionKind};

use crate::{guard::Caller, identity_headers::IdentityHeaders};

/// The identity headers of a request that are to be removed if it passes: every spelling that it has, but never a name
/// that is set, as it is not specified what Envoy does then.
pub(crate) fn forged(names: IdentityHeaders, headers: &HeaderMap) -> Vec<String> {
    let is_forged = |name: &&HeaderName| names.contain(name) && !names.names().contains(&name.as_str());
    headers.keys().filter(is_forged).map(ToString::to_string).collect()
}

/// Lets a request pass, with the identity headers of the caller in place of those that it brought.
pub(crate) fn allowed(caller: &Caller, names: IdentityHeaders, headers_to_remove: Vec<String>) -> CheckResponse {
    let principal = match caller {
        Caller::Anonymous => None,
        Caller::Known(principal) => Some(principal),
    };
    let user = match principal {
        Some(Principal::Session(user)) => Some(user),
        // A program that acts for a user is not the user in person.
        _ => None,
    };
    let headers = names.of(user).map(|(name, value)| {
        header(name.as_str(), value.to_str().unwrap_or_default(), HeaderAppendAction::OverwriteIfExistsOrAdd)
    });
    let response = OkHttpResponse { headers: headers.collect(), headers_to_remove, ..OkHttpResponse::default() };
    CheckResponse {
        status: status(Code::Ok),
        dynamic_metadata: principal.map(metadata),
        http_response: Some(HttpResponse::OkResponse(response)),
    }
}

/// Responds in place of the upstream.
///
/// Without keys nothing is known about the request. Envoy then counts an error of this server, not a denial.
pub(crate) fn rejected(response: &Response<Bytes>, is_grpc: bool) -> CheckResponse {
    let rejection = response.extensions().get::<Rejection>();
    let is_error = rejection.is_some_and(|rejection| rejection.kind() == RejectionKind::KeysUnavailable);
    // For a gRPC call Envoy makes a gRPC status of it, whose message is the body.
    let body = match rejection {
        Some(rejection) if is_grpc => rejection.code().to_owned(),
        _ => String::from_utf8_lossy(response.body()).into_owned(),
    };
    let mut headers = Vec::new();
    for name in response.headers().keys() {
        let mut action = HeaderAppendAction::OverwriteIfExistsOrAdd;
        for value in response.headers().get_all(name) {
            headers.push(header(name.as_str(), &String::from_utf8_lossy(value.as_bytes()), action));
            action = HeaderAppendAction::AppendIfExistsOrAdd;
        }
    }
    let denied = DeniedHttpResponse { status: http_status(response.status()), headers, body };
    let (code, http_response) = match is_error {
        true => (Code::Unavailable, HttpResponse::ErrorResponse(denied)),
        false => (Code::PermissionDenied, HttpResponse::DeniedResponse(denied)),
    };
    CheckResponse { status: status(code), dynamic_metadata: None, http_response: Some(http_response) }
}

/// Refuses without a word about why, which is in the log.
pub(crate) fn refused(status_code: StatusCode) -> CheckResponse {
    let denied = DeniedHttpResponse { status: http_status(status_code), ..DeniedHttpResponse::default() };
    CheckResponse {
        status: status(Code::PermissionDenied),
        dynamic_metadata: None,
        http_response: Some(HttpResponse::DeniedResponse(denied)),
    }
}

/// `tower_clerk`, for access logs and later filters.
fn metadata(principal: &Principal) -> Struct {
    let text = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
    let mut fields = vec![("sub", text(principal.subject()))];
    let (session, organization) = match principal {
        Principal::Session(user) => (user.session_id(), user.organization().map(|organization| organization.id())),
        _ => (None, None),
    };
    fields.extend(session.map(|id| ("sid", text(id))));
    fields.extend(organization.map(|id| ("org", text(id))));
    let scopes = ListValue { values: principal.scopes().map(text).collect() };
    fields.push(("scopes", Value { kind: Some(Kind::ListValue(scopes)) }));
    let of = |fields: Vec<(&str, Value)>| Struct {
        fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    };
    of(vec![("tower_clerk", Value { kind: Some(Kind::StructValue(of(fields))) })])
}

fn header(name: &str, value: &str, action: HeaderAppendAction) -> HeaderValueOption {
    let header = HeaderValue { key: name.to_owned(), value: value.to_owned(), ..HeaderValue::default() };
    HeaderValueOption { header: Some(header), append_action: action.into(), ..HeaderValueOption::default() }
}

fn http_status(status: StatusCode) -> Option<HttpStatus> {
    // Envoy knows all that this server sends.
    let code = HttpStatusCode::try_from(i32::from(status.as_u16())).unwrap_or(HttpStatusCode::Forbidden);
    Some(HttpStatus { code: code.into() })
}

fn status(code: Code) -> Option<rpc::Status> {
    Some(rpc::Status { code: code.into(), ..rpc::Status::default() })
}
