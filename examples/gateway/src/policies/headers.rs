//! `SetHeadersInboundPolicy` and `RemoveHeadersInboundPolicy`.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderName, Request};
use tower::{Layer, Service};

use crate::{documents::HeaderEdits, identity_headers::is_like};

/// Layer that edits the headers of a request.
#[derive(Clone, Debug)]
pub(crate) struct EditHeaders(Arc<HeaderEdits>);

impl EditHeaders {
    pub(crate) fn new(edits: HeaderEdits) -> Self {
        Self(Arc::new(edits))
    }

    fn apply(&self, headers: &mut HeaderMap) {
        match &*self.0 {
            HeaderEdits::Remove(names) => names.iter().for_each(|name| remove(headers, name)),
            HeaderEdits::Set(set) => {
                for header in set {
                    if header.overwrite || !headers.contains_key(&header.name) {
                        remove(headers, &header.name);
                        headers.insert(header.name.clone(), header.value.clone());
                    }
                }
            }
        }
    }
}

/// Removes a header in every spelling that an upstream may take for the same: `x_tenant` for `x-tenant`.
fn remove(headers: &mut HeaderMap, name: &HeaderName) {
    while let Some(other) = headers.keys().find(|other| is_like(other, name.as_str())).cloned() {
        headers.remove(other);
    }
}

impl<S> Layer<S> for EditHeaders {
    type Service = EditedHeaders<S>;

    fn layer(&self, inner: S) -> Self::Service {
        EditedHeaders { inner, edits: self.clone() }
    }
}

/// Service of [`EditHeaders`].
#[derive(Clone, Debug)]
pub(crate) struct EditedHeaders<S> {
    inner: S,
    edits: EditHeaders,
}

impl<S, B> Service<Request<B>> for EditedHeaders<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        self.edits.apply(request.headers_mut());
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::documents::SetHeader;

    fn after(edits: &EditHeaders, before: &[(&'static str, &'static str)]) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        for (name, value) in before {
            headers.append(*name, HeaderValue::from_static(value));
        }
        edits.apply(&mut headers);
        let pairs = headers.iter().map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned()));
        pairs.collect()
    }

    fn set(overwrite: bool) -> EditHeaders {
        let (name, value) = (HeaderName::from_static("x-a"), HeaderValue::from_static("ours"));
        EditHeaders::new(HeaderEdits::Set(vec![SetHeader { name, value, overwrite }]))
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_header_that_is_set_replaces_all_values_of_the_client() {
        assert_eq!(after(&set(true), &[("x-a", "1"), ("x-a", "2")]), pairs(&[("x-a", "ours")]));
        assert_eq!(after(&set(true), &[]), pairs(&[("x-a", "ours")]));
    }

    #[test]
    fn a_header_that_must_not_overwrite_is_only_added() {
        assert_eq!(after(&set(false), &[("x-a", "1")]), pairs(&[("x-a", "1")]));
        assert_eq!(after(&set(false), &[]), pairs(&[("x-a", "ours")]));
    }

    #[test]
    fn other_spellings_of_a_header_go_with_it() {
        let forged = [("x_a", "forged"), ("x.a", "forged"), ("x-ab", "kept")];
        assert_eq!(after(&set(true), &forged), pairs(&[("x-ab", "kept"), ("x-a", "ours")]));
        assert_eq!(after(&set(false), &forged), pairs(&[("x-ab", "kept"), ("x-a", "ours")]));
    }

    #[test]
    fn every_value_of_a_removed_header_is_gone() {
        let names = ["x-a", "x-missing"].map(HeaderName::from_static).to_vec();
        let edits = EditHeaders::new(HeaderEdits::Remove(names));
        assert_eq!(after(&edits, &[("x-a", "1"), ("x-b", "2"), ("x-a", "3")]), pairs(&[("x-b", "2")]));
    }
}
