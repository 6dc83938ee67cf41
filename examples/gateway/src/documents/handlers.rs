//! Handlers of routes: `urlForwardHandler` and `urlRewriteHandler`.

use super::{
    Context, Handler, RUNTIME,
    node::{Members, Node},
};
use crate::{excerpt::excerpt, template::Template};

/// Reads the handler of a route. `parameters` are those of its path; `None` if the path has a fault.
pub(super) fn read(node: &Node<'_>, parameters: Option<&[String]>, context: &Context<'_>) -> Option<Handler> {
    let members = node.object()?;
    members.allow_only(&["export", "module", "options"]);
    let export = members.required("export").and_then(|export| export.plain_text());
    let module = members.required("module").and_then(|module| module.plain_text());
    let (export, module) = (export?, module?);
    let target = match export {
        FORWARD if module == RUNTIME => "baseUrl",
        REWRITE if module == RUNTIME => "rewritePattern",
        _ => {
            node.fault(format!(
                "the handler `{}` of `{}` is not supported; use {FORWARD} or {REWRITE} of {RUNTIME}",
                excerpt(export),
                excerpt(module)
            ));
            return None;
        }
    };
    let options = members.required("options")?.object()?;
    let forward_search = read_options(&options, target);
    let target = options.required(target)?;
    let text = target.text()?;
    if export == FORWARD {
        let base_url = template(&target, text, parameters, context)?;
        if base_url.has_query() {
            target.fault(
                "must have no query: the path of the request is appended to it; use urlRewriteHandler for a query",
            );
        }
        return Some(Handler::Forward { base_url, forward_search: forward_search? });
    }
    let pattern = template(&target, text, parameters, context)?;
    Some(Handler::Rewrite { pattern, forward_search: forward_search? })
}

/// Reads what both handlers have, which is `forwardSearch`. Unknown options are no warnings as those of a policy are:
/// each may say where requests go, or how.
fn read_options(options: &Members<'_>, target: &str) -> Option<bool> {
    let mut forward_search = Some(true);
    for (name, option) in options.iter().filter(|(name, _)| *name != target) {
        match name {
            "forwardSearch" => forward_search = option.boolean(),
            "followRedirects" => {
                if option.boolean() == Some(true) {
                    option.fault("must be false: redirects are passed on to the client, not followed");
                }
            }
            "mtlsCertificate" => {
                option.fault("client certificates towards the upstream are not supported; remove `mtlsCertificate`");
            }
            _ => option
                .fault(format!("is not a known member; expected one of: {target}, forwardSearch, followRedirects")),
        }
    }
    forward_search
}

fn template(node: &Node<'_>, text: &str, parameters: Option<&[String]>, context: &Context<'_>) -> Option<Template> {
    let parsed = Template::parse(text, parameters, context.variable);
    parsed.map_err(|reasons| reasons.into_iter().for_each(|reason| node.fault(reason))).ok()
}

const FORWARD: &str = "urlForwardHandler";
const REWRITE: &str = "urlRewriteHandler";

#[cfg(test)]
mod tests {
    use super::{super::support, *};

    fn read_text(text: &str) -> Result<Handler, Vec<String>> {
        let parameters = ["id".to_owned()];
        let variables = [("URL", "https://api.example.com")];
        support::read(text, &variables, |node, context| read(node, Some(&parameters), context))
            .whole()
            .map(Option::unwrap)
    }

    fn with_options(export: &str, options: &str) -> Result<Handler, Vec<String>> {
        read_text(&format!(r#"{{"export": "{export}", "module": "$import(@zuplo/runtime)", "options": {options}}}"#))
    }

    #[test]
    fn forwarding_takes_the_base_url_as_it_is_written() {
        for url in ["https://api.example.com/v1", "https://api.example.com/v1//"] {
            let handler =
                with_options(FORWARD, &format!(r#"{{"baseUrl": "{url}", "followRedirects": false}}"#)).unwrap();
            let Handler::Forward { base_url, forward_search: true } = handler else { panic!("{handler:?}") };
            assert_eq!(base_url.display(), url);
        }
        let handler = with_options(FORWARD, r#"{"baseUrl": "${env.URL}", "forwardSearch": false}"#).unwrap();
        assert!(matches!(handler, Handler::Forward { forward_search: false, .. }));
    }

    #[test]
    fn rewriting_takes_the_pattern() {
        let handler = with_options(REWRITE, r#"{"rewritePattern": "https://a.example/${params.id}/"}"#).unwrap();
        let Handler::Rewrite { pattern, forward_search: true } = handler else { panic!("{handler:?}") };
        assert_eq!(pattern.display(), "https://a.example/${params.id}/");
    }

    #[test]
    fn mistakes_in_handlers_are_faults() {
        let base = r#""baseUrl": "https://a.example""#;
        let cases = [
            (FORWARD, "{}".to_owned(), "$.options: `baseUrl` is missing"),
            (REWRITE, "{}".to_owned(), "$.options: `rewritePattern` is missing"),
            (
                REWRITE,
                format!(r#"{{"rewritePattern": "https://a.example", {base}}}"#),
                "$.options.baseUrl: is not a known",
            ),
            (FORWARD, r#"{"baseUrl": "https://a.example?x=1"}"#.to_owned(), "$.options.baseUrl: must have no query"),
            (FORWARD, r#"{"baseUrl": 1}"#.to_owned(), "$.options.baseUrl: must be a string"),
            (
                FORWARD,
                format!(r#"{{{base}, "forwardSearch": "yes"}}"#),
                "$.options.forwardSearch: must be true or false",
            ),
            (FORWARD, format!(r#"{{{base}, "followRedirects": true}}"#), "$.options.followRedirects: must be false"),
            (FORWARD, format!(r#"{{{base}, "followRedirects": 1}}"#), "$.options.followRedirects: must be true or"),
            (
                FORWARD,
                format!(r#"{{{base}, "mtlsCertificate": "x"}}"#),
                "$.options.mtlsCertificate: client certificates",
            ),
            (FORWARD, format!(r#"{{{base}, "forwardSerch": true}}"#), "$.options.forwardSerch: is not a known member"),
            (FORWARD, "[]".to_owned(), "$.options: must be an object"),
            (FORWARD, r#"{"baseUrl": "$env(URL)"}"#.to_owned(), "$.options.baseUrl: "),
            (
                REWRITE,
                r#"{"rewritePattern": "https://a.example/${env.UNSET}"}"#.to_owned(),
                "$.options.rewritePattern: ",
            ),
            (
                REWRITE,
                r#"{"rewritePattern": "https://a.example/${params.nobody}"}"#.to_owned(),
                "$.options.rewritePattern: ",
            ),
            (
                "redirectHandler",
                r#"{"location": "/"}"#.to_owned(),
                "$: the handler `redirectHandler` of `$import(@zuplo",
            ),
        ];
        for (export, options, expected) in cases {
            let faults = with_options(export, &options).unwrap_err();
            assert!(faults.len() == 1 && faults[0].starts_with(expected), "{options}: {faults:#?}");
        }
        let faults = with_options(FORWARD, r#"{"baseUrl": "$env(URL)"}"#).unwrap_err();
        assert!(faults[0].contains("${env.URL}") || faults[0].contains("${env.NAME}"), "{faults:?}");
    }

    #[test]
    fn handlers_of_other_modules_are_refused() {
        let own = r#"{"export": "default", "module": "$import(./modules/hello)", "options": {}}"#;
        assert!(read_text(own).unwrap_err()[0].starts_with("$: the handler `default` of `$import(./modules/hello)`"));
        let same_name = r#"{"export": "urlForwardHandler", "module": "$import(./modules/x)", "options": {}}"#;
        assert!(read_text(same_name).unwrap_err()[0].contains("is not supported"));
        let faults = read_text(r#"{"export": "", "opts": 1}"#).unwrap_err();
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert_eq!(read_text("[]").unwrap_err(), ["$: must be an object"]);
    }

    #[test]
    fn the_value_of_a_variable_in_a_bad_url_is_not_shown() {
        let text = r#"{"export": "urlForwardHandler", "module": "$import(@zuplo/runtime)",
            "options": {"baseUrl": "${env.URL}"}}"#;
        let faults =
            support::read(text, &[("URL", "hush hush")], |node, context| read(node, Some(&[]), context)).faults;
        assert!(!faults.is_empty() && !format!("{faults:?}").contains("hush"), "{faults:?}");
    }
}
