//! The parameters of a request, in a query or a form.

use std::collections::BTreeMap;

/// Names and values. An empty value counts as none (RFC 6749, section 3.1).
pub(super) struct Parameters(BTreeMap<String, String>);

/// A parameter occurs twice, which RFC 6749, section 3.1, forbids.
#[derive(Debug)]
pub(super) struct Repeated;

impl Parameters {
    pub(super) fn read(encoded: &[u8]) -> Result<Self, Repeated> {
        let mut parameters = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(encoded) {
            if parameters.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(Repeated);
            }
        }
        Ok(Self(parameters))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}
