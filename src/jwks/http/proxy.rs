//! The proxy that the environment names.

use http::Uri;
use reqwest::{NoProxy, Proxy, Url};

use crate::config::{self, ConfigError, Setting};

/// Returns the proxy for `https` that the environment names; `None` if it names none.
///
/// reqwest reads the same variables by itself, but ignores one that it cannot use. All fetches would then go out
/// without a proxy, which fails where one is needed, and nothing would say why.
pub(super) fn from_environment() -> Result<Option<Proxy>, ConfigError> {
    let Some(ProxySettings { url, exceptions, variable }) = read(config::variable)? else { return Ok(None) };
    let proxy = Proxy::https(url).map_err(|_| invalid(variable, NOT_A_PROXY))?;
    Ok(Some(proxy.no_proxy(NoProxy::from_string(&exceptions))))
}

struct ProxySettings {
    url: Url,
    /// The hosts that are asked without the proxy, as in `NO_PROXY`.
    exceptions: String,
    /// Where the URL was read from.
    variable: &'static str,
}

/// `lookup` replaces the environment in tests, which must not change it: it belongs to the whole process.
///
/// As with curl and reqwest, `HTTPS_PROXY` comes before `ALL_PROXY`. What comes second is not read: desktops set
/// `ALL_PROXY` to a URL that few programs understand, beside an `HTTPS_PROXY` that all do.
fn read<E>(lookup: impl Fn(&str) -> Result<Option<String>, E>) -> Result<Option<ProxySettings>, ConfigError> {
    let filled = |variable| {
        let value = lookup(variable).map_err(|_| invalid(variable, "is not UTF-8"))?;
        Ok(value.filter(|value| !value.trim().is_empty()).map(|value| (variable, value)))
    };
    let first = |variables: &[&'static str]| variables.iter().find_map(|variable| filled(variable).transpose());
    let Some((variable, value)) = first(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]).transpose()? else {
        return Ok(None);
    };
    let url = parse(value.trim()).ok_or_else(|| invalid(variable, NOT_A_PROXY))?;
    let exceptions = first(&["NO_PROXY", "no_proxy"]).transpose()?.map(|(_, list)| list).unwrap_or_default();
    Ok(Some(ProxySettings { url, exceptions, variable }))
}

/// Parses the URL of a proxy. A missing scheme means `http`.
fn parse(value: &str) -> Option<Url> {
    let url = match value.contains("://") {
        true => Url::parse(value),
        false => Url::parse(&format!("http://{value}")),
    };
    let url = url.ok().filter(|url| SCHEMES.contains(&url.scheme()))?;
    // reqwest parses the URL again when it connects, with this type, and ignores a proxy that fails then.
    let has_host = url.as_str().parse::<Uri>().is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty()));
    has_host.then_some(url)
}

/// The error names the variable and not its value, which may contain a password.
fn invalid(variable: &'static str, reason: &'static str) -> ConfigError {
    ConfigError::invalid(Setting::field("proxy").read_from(variable), reason)
}

const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];
const NOT_A_PROXY: &str = "is not the URL of an http, https, socks4, socks4a, socks5 or socks5h proxy";

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<Option<ProxySettings>, ConfigError> {
        read(|name| {
            let value = variables.iter().find(|(variable, _)| *variable == name);
            Ok::<_, ()>(value.map(|(_, value)| (*value).to_owned()))
        })
    }

    fn url(value: &str) -> String {
        from(&[("HTTPS_PROXY", value)]).unwrap().expect("a proxy").url.to_string()
    }

    #[test]
    fn a_proxy_is_read_from_four_variables_in_order() {
        let mut variables = vec![
            ("HTTPS_PROXY", "http://a.example/"),
            ("https_proxy", "http://b.example/"),
            ("ALL_PROXY", "http://c.example/"),
            ("all_proxy", "http://d.example/"),
        ];
        while let Some((variable, value)) = variables.first() {
            let proxy = from(&variables).unwrap().expect("a proxy");
            assert_eq!((proxy.variable, proxy.url.as_str()), (*variable, *value));
            variables.remove(0);
        }
        assert!(from(&[]).unwrap().is_none());
        assert!(from(&[("HTTP_PROXY", "http://a.example"), ("NO_PROXY", "*")]).unwrap().is_none());
    }

    #[test]
    fn a_blank_variable_is_not_set() {
        let proxy = from(&[("HTTPS_PROXY", ""), ("https_proxy", " "), ("ALL_PROXY", " socks5h://a.example ")]).unwrap();
        assert_eq!(proxy.expect("a proxy").url.as_str(), "socks5h://a.example");
    }

    #[test]
    fn a_proxy_may_speak_http_or_socks() {
        for value in ["http://a.example:8080/", "https://a.example/", "http://u:p@a.example/", "http://[::1]:8080/"] {
            assert_eq!(url(value), value);
        }
        for scheme in ["socks4", "socks4a", "socks5", "socks5h"] {
            let value = format!("{scheme}://u:p@127.0.0.1:1080");
            assert_eq!(url(&value), value);
        }
        assert_eq!(url("a.example:3128"), "http://a.example:3128/");
        assert_eq!(url("u:p@a.example:3128"), "http://u:p@a.example:3128/");
        assert_eq!(url("HTTP://A.example"), "http://a.example/");
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error_that_names_the_variable() {
        for value in [
            "socks://hunter2.example:1080",
            "ftp://hunter2.example",
            "socks5://",
            "socks5h://hunter2@:1080",
            "://hunter2",
            "http://hunter2 .example",
            "http://hunter2.example:port",
            "hunter2.example:99999",
            "http:// hunter2",
            "hunter2:hunter2",
        ] {
            for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
                let error = from(&[(variable, value)]).map(|_| ()).unwrap_err();
                assert_eq!(error.to_string(), format!("proxy ({variable}) {NOT_A_PROXY}"), "{value}");
                assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
            }
        }
        let error = read(|_| Err(())).map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), "proxy (HTTPS_PROXY) is not UTF-8");
    }

    #[test]
    fn an_unused_variable_may_hold_anything() {
        let proxy = from(&[("HTTPS_PROXY", "http://a.example/"), ("ALL_PROXY", "socks://a.example:1080")]).unwrap();
        assert_eq!(proxy.expect("a proxy").url.as_str(), "http://a.example/");
    }

    #[test]
    fn exceptions_come_from_no_proxy() {
        let proxy = |variables: &[(&str, &str)]| {
            from(&[&[("ALL_PROXY", "http://a.example")], variables].concat()).unwrap().expect("a proxy").exceptions
        };
        assert_eq!(proxy(&[]), "");
        assert_eq!(proxy(&[("no_proxy", "b.example")]), "b.example");
        assert_eq!(proxy(&[("NO_PROXY", "c.example"), ("no_proxy", "b.example")]), "c.example");
    }
}
