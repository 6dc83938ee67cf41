use std::time::Duration;

use super::api::Api;
use crate::{faults::instance::response, support::server::Script};

fn too_many(headers: &[(&str, &str)]) -> Script {
    response("429 Too Many Requests", headers, r#"{"errors":[{"code":"too_many_requests"}]}"#)
}

async fn delay(script: Script) -> Duration {
    Api::start(script).await.failure().await.retry_after().expect("a delay")
}

#[tokio::test]
async fn a_number_of_seconds_is_passed_on_up_to_a_minute() {
    for (value, seconds) in [("1", 1), (" 7 ", 7), ("60", 60), ("61", 60), ("86400", 60), ("18446744073709551615", 60)]
    {
        assert_eq!(delay(too_many(&[("Retry-After", value)])).await, Duration::from_secs(seconds), "{value}");
    }
}

#[tokio::test]
async fn a_date_is_relative_to_the_date_of_the_response() {
    let later = |retry_after| too_many(&[("Date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("Retry-After", retry_after)]);
    for (value, seconds) in [
        ("Sun, 06 Nov 1994 08:49:41 GMT", 4),
        ("Sunday, 06-Nov-94 08:50:07 GMT", 30),
        ("Sun Nov  6 08:50:07 1994", 30),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 60),
    ] {
        assert_eq!(delay(later(value)).await, Duration::from_secs(seconds), "{value}");
    }
    assert!(delay(later("Sun, 06 Nov 1994 08:49:36 GMT")).await <= Duration::from_secs(1));
}

#[tokio::test]
async fn a_date_without_a_date_of_the_response_is_relative_to_the_clock() {
    let far = too_many(&[("Retry-After", "Thu, 31 Dec 2099 23:59:59 GMT")]);
    assert_eq!(delay(far).await, Duration::from_secs(60));
    assert!(delay(too_many(&[("Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT")])).await <= Duration::from_secs(1));
}

#[tokio::test]
async fn without_a_usable_value_the_back_off_of_the_token_applies() {
    assert!(delay(too_many(&[])).await <= Duration::from_secs(1));
    for value in ["", "soon", "-3", "+5", "1.5", "3 seconds", "0x10", "٣", "99999999999999999999", "0"] {
        assert!(delay(too_many(&[("Retry-After", value)])).await <= Duration::from_secs(1), "{value}");
    }
}

#[tokio::test]
async fn every_failure_with_a_head_is_put_off() {
    for status in ["401 Unauthorized", "403 Forbidden", "500 Any", "503 Any", "302 Found", "418 Any"] {
        let script = response(status, &[("Retry-After", "9"), ("Location", "http://127.0.0.1:9/")], "");
        assert_eq!(delay(script).await, Duration::from_secs(9), "{status}");
    }
    assert_eq!(delay(response("200 OK", &[("Retry-After", "9")], "<html>")).await, Duration::from_secs(9));
}
