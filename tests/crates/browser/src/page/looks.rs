//! Wide and narrow, light and dark, and by keyboard alone.

use std::{fs, path::PathBuf};

use base64::{Engine, prelude::BASE64_STANDARD};
use fantoccini::key::Key;
use serde_json::{Value, json};

use super::{Page, demo};

const CONTRAST: &str = include_str!("contrast.js");

async fn emulate(page: &Page, width: u32, height: u32, features: &[(&str, &str)]) {
    let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
    page.browser.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    let features: Vec<_> = features.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    page.browser.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
}

/// Writes the whole page to the folder of screenshots.
async fn screenshot(page: &Page, name: &str) {
    let parameters = json!({ "format": "png", "captureBeyondViewport": true });
    let answer = page.browser.devtools("Page.captureScreenshot", parameters).await;
    let png = BASE64_STANDARD.decode(answer["data"].as_str().expect("a picture")).expect("base64");
    let mut folder: PathBuf = std::env::current_exe().expect("this test's path");
    // From the folder of the tests, `debug/deps`, to the target folder.
    folder.pop();
    folder.pop();
    folder.pop();
    folder.push("screenshots");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(format!("{name}.png")), png).expect("a file");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_fits_wide_and_narrow_windows_in_light_and_dark() {
    demo(async move |page| {
        for (size, width, height) in [("wide", 1280, 900), ("narrow", 390, 844)] {
            for scheme in ["light", "dark"] {
                emulate(&page, width, height, &[("prefers-color-scheme", scheme)]).await;
                for (caller, path) in [("ada", "/protected"), ("bob", "/invoices"), ("late", "/protected")] {
                    page.open(caller).await;
                    page.browser.click("#call-all").await;
                    page.browser.until("document.querySelectorAll('.status:not([hidden])').length === 7").await;
                    page.call(path).await;
                    let name = format!("{size}-{scheme}-{caller}");
                    let top = "return document.getElementById('result-title').getBoundingClientRect().top";
                    let top = page.browser.run(top).await.as_f64().expect("a place");
                    assert!((0.0..f64::from(height)).contains(&top), "{name}: the result is out of sight");
                    let root = "const { scrollWidth, clientWidth } = document.documentElement; \
                                return [scrollWidth, clientWidth];";
                    let widths = page.browser.run(root).await;
                    assert_eq!(widths, json!([width, width]), "{name}");
                    let contrast = page.browser.run(CONTRAST).await;
                    assert!(contrast["texts"].as_u64() > Some(40), "{name}: {contrast}");
                    assert_eq!(contrast["low"], json!([]), "{name}");
                    page.browser.run("scrollTo(0, 0)").await;
                    screenshot(&page, &name).await;
                }
                // With the field for a token of one's own.
                page.choose("own").await;
                let contrast = page.browser.run(CONTRAST).await;
                assert_eq!(contrast["low"], json!([]));
            }
        }
        page.assert_quiet().await;
    })
    .await;
}

/// What has the focus: its name, and the width of the line around it.
async fn focused(page: &Page) -> (String, f64) {
    let script = "const element = document.activeElement; const style = getComputedStyle(element);
                  const name = element.value || element.dataset.path || element.id || element.tagName;
                  return [name, style.outlineStyle === 'none' ? 0 : parseFloat(style.outlineWidth)];";
    let focused = page.browser.run(script).await;
    (focused[0].as_str().expect("a name").to_owned(), focused[1].as_f64().expect("a width"))
}

async fn press(page: &Page, key: Key) {
    let element = page.browser.client.active_element().await.expect("an element");
    element.send_keys(&key.to_string()).await.expect("a key");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyboard_alone_is_enough() {
    demo(async move |page| {
        page.browser.open(&page.url).await;
        page.browser.until("document.querySelector('input[value=ada]:checked')").await;
        let mut stops = Vec::new();
        for _ in 0..10 {
            press(&page, Key::Tab).await;
            let (name, outline) = focused(&page).await;
            assert!(outline >= 2.0, "{name} does not show that it has the focus");
            stops.push(name);
        }
        let expected = [
            "ada",
            "renew",
            "call-all",
            "/public",
            "/optional",
            "/protected",
            "/invoices",
            "/any",
            "/oauth",
            "/scoped",
        ];
        assert_eq!(stops, expected);

        page.browser.open(&page.url).await;
        page.browser.until("document.querySelector('input[value=ada]:checked')").await;
        press(&page, Key::Tab).await;
        press(&page, Key::Down).await;
        assert_eq!(focused(&page).await.0, "bob");
        for _ in 0..6 {
            press(&page, Key::Tab).await;
        }
        assert_eq!(focused(&page).await.0, "/invoices");
        press(&page, Key::Enter).await;
        let shown = page.shown("/invoices").await;
        assert_eq!((shown.status, &shown.body["code"]), (403, &json!("insufficient_scope")));
        assert_eq!(focused(&page).await.0, "/invoices", "the focus stays");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn screen_readers_get_names_and_news() {
    demo(async move |page| {
        page.open("bob").await;
        let live = page.browser.run("return document.getElementById('summary').getAttribute('role')").await;
        assert_eq!(live, "status");
        page.call("/invoices").await;
        // By the names that the browser computes for assistive technology.
        let tree = page.browser.devtools("Accessibility.getFullAXTree", json!({})).await;
        let nodes = tree["nodes"].as_array().expect("nodes");
        let named = |role: &str| -> Vec<String> {
            let is_of = |node: &&Value| node["role"]["value"] == role;
            nodes
                .iter()
                .filter(is_of)
                .map(|node| node["name"]["value"].as_str().unwrap_or_default().to_owned())
                .collect()
        };
        assert_eq!(named("radiogroup"), ["Who calls"]);
        assert_eq!(named("radio").len(), 10);
        assert!(named("radio").contains(&"Bob member who may read them".to_owned()), "{:?}", named("radio"));
        assert_eq!(named("heading").first().map(String::as_str), Some("tower-clerk"));
        assert!(named("button").iter().any(|name| name.contains("POST /invoices") && name.contains("403")));
        for role in ["radio", "button", "heading", "progressbar"] {
            assert!(named(role).iter().all(|name| !name.trim().is_empty()), "{role}: {:?}", named(role));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_moves_for_those_who_ask_for_that() {
    demo(async move |page| {
        let durations = "return [...document.querySelectorAll('*')].filter((element) => \
                         getComputedStyle(element).transitionProperty !== 'none').length";
        emulate(&page, 1280, 900, &[("prefers-reduced-motion", "reduce")]).await;
        page.open("ada").await;
        assert_eq!(page.browser.run(durations).await, json!(0));
    })
    .await;
}
