//! Headers in which clients must not be believed, for tests of what stands in front of applications.

/// Headers from which some applications take the path, the method or the scheme of a request, or the address or the
/// user of its client. Whoever stands in front writes them or removes them.
pub(crate) const SPOOFABLE_HEADERS: [&str; 30] = [
    "Forwarded",
    "Proxy",
    "True-Client-IP",
    "X-Client-IP",
    "X-Forwarded-Access-Token",
    "X-Forwarded-Email",
    "X-Forwarded-For",
    "X-Forwarded-Groups",
    "X-Forwarded-Host",
    "X-Forwarded-Method",
    "X-Forwarded-Path",
    "X-Forwarded-Port",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Prefix",
    "X-Forwarded-Proto",
    "X-Forwarded-Protocol",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Forwarded-Ssl",
    "X-Forwarded-Uri",
    "X-Forwarded-User",
    "X-HTTP-Method",
    "X-HTTP-Method-Override",
    "X-Method-Override",
    "X-Original-Method",
    "X-Original-Path",
    "X-Original-URI",
    "X-Original-URL",
    "X-Real-IP",
    "X-Rewrite-URL",
];

/// A name, and others that servers which make variables of headers may take for the same one.
pub(crate) fn spellings(name: &str) -> [String; 5] {
    [
        name.to_owned(),
        name.to_lowercase(),
        name.replace('-', "_"),
        name.to_uppercase().replace('-', "."),
        name.replacen('-', "_", 1),
    ]
}
