//! Headers and payloads that are ambiguous or malformed: duplicate members, invalid JSON and invalid UTF-8.

use serde_json::Value;
use tower_clerk::verify::VerifyErrorKind::{self, Malformed};

use super::{
    forge::{KID, NOW, appended, header, jwks, payload, trusted, with, without},
    table::{Class, Row, rows as table},
    targets::Targets,
};

pub(crate) fn rows() -> Vec<Row> {
    [with_duplicates(), not_json(), not_unicode()].into_iter().flatten().collect()
}

#[tokio::test]
async fn duplicate_members_are_rejected_in_either_order() {
    Targets::start(&jwks()).await.check(&with_duplicates()).await;
}

#[tokio::test]
async fn a_header_or_payload_that_is_not_one_json_object_is_rejected() {
    Targets::start(&jwks()).await.check(&not_json()).await;
}

#[tokio::test]
async fn a_header_or_payload_that_is_not_valid_utf_8_is_rejected() {
    Targets::start(&jwks()).await.check(&not_unicode()).await;
}

type Attack = (String, String, VerifyErrorKind);

/// Makes a token from the bytes of its header or payload.
type Sign = fn(Vec<u8>) -> String;

fn with_header(header: impl AsRef<[u8]>) -> String {
    trusted().sign_bytes(header, payload().to_string())
}

fn with_payload(payload: impl AsRef<[u8]>) -> String {
    trusted().sign_bytes(header().to_string(), payload)
}

fn with_duplicates() -> Vec<Row> {
    let mut attacks: Vec<Attack> = Vec::new();
    for (name, value, other) in [
        ("alg", r#""RS256""#, r#""none""#),
        ("alg", r#""RS256""#, r#""HS256""#),
        ("kid", r#""ins_trusted""#, r#""ins_stranger""#),
        ("typ", r#""JWT""#, r#""at+jwt""#),
        ("typ", r#""JWT""#, r#""JWT""#),
    ] {
        // The valid member is in the header already. The other comes before or after it.
        let after = appended(&header(), &format!(r#""{name}":{other}"#));
        let before = format!("{{\"{name}\":{other},{}", header().to_string().trim_start_matches('{'));
        let escaped =
            appended(&header(), &format!(r#""\u{:04x}{}":{value}"#, u32::from(name.as_bytes()[0]), &name[1..]));
        attacks.push((format!("{name}, {other} last"), with_header(after), Malformed));
        attacks.push((format!("{name}, {other} first"), with_header(before), Malformed));
        attacks.push((format!("{name}, escaped"), with_header(escaped), Malformed));
    }
    for (name, value) in [
        ("sub", r#""user_eve""#),
        (r"s\u0075b", r#""user_eve""#),
        ("exp", "4102444800"),
        ("\\u0065xp", "4102444800"),
        ("iss", r#""https://evil.example""#),
        ("iat", "0"),
        ("sid", r#""sess_eve""#),
    ] {
        let after = appended(&payload(), &format!(r#""{name}":{value}"#));
        let before = format!("{{\"{name}\":{value},{}", payload().to_string().trim_start_matches('{'));
        attacks.push((format!("{name} twice, {value} last"), with_payload(after), Malformed));
        attacks.push((format!("{name} twice, {value} first"), with_payload(before), Malformed));
    }
    for members in [
        r#""azp":"https://a.example","azp":"https://b.example""#,
        r#""o":{"id":"org_a","rol":"member","rol":"admin"}"#,
        r#""o":{"id":"org_a","i\u0064":"org_b"}"#,
        r#""act":{"sub":"user_a","sub":"user_b"}"#,
        r#""x":1,"x":1"#,
        r#""":1,"":2"#,
    ] {
        attacks.push((members.to_owned(), with_payload(appended(&payload(), members)), Malformed));
    }
    let same_but_for_case = appended(&payload(), r#""Sub":"user_eve","x":{"sub":1,"sub":2},"sub ":7"#);
    table(Class::DuplicateMembers, &with_payload(same_but_for_case), attacks)
}

fn not_json() -> Vec<Row> {
    let (header, payload) = (header().to_string(), payload().to_string());
    let mut attacks: Vec<Attack> = Vec::new();
    let parts: [(&str, &String, Sign); 2] =
        [("header", &header, |text| with_header(text)), ("payload", &payload, |text| with_payload(text))];
    for (part, text, sign) in parts {
        let open = text.strip_suffix('}').expect("an object");
        let inner = open.trim_start_matches('{');
        for (case, text) in [
            ("nothing", String::new()),
            ("white space", " \n".to_owned()),
            ("null", "null".to_owned()),
            ("true", "true".to_owned()),
            ("a number", NOW.to_string()),
            ("an array", "[]".to_owned()),
            ("an object in an array", format!("[{text}]")),
            ("values in an array", format!("[\"RS256\",\"{KID}\",\"JWT\"]")),
            ("a text", "\"RS256\"".to_owned()),
            ("an object in a text", format!("\"{}\"", text.replace('"', "\\\""))),
            ("a trailing comma", format!("{open},}}")),
            ("a leading comma", format!("{{,{inner}}}")),
            ("two commas", text.replacen(',', ",,", 1)),
            ("no comma", text.replacen(',', " ", 1)),
            ("no colon", text.replacen(':', " ", 1)),
            ("not closed", open.to_owned()),
            ("closed twice", format!("{text}}}")),
            ("two objects", format!("{text}{text}")),
            ("two objects in two lines", format!("{text}\n{text}")),
            ("garbage after", format!("{text}x")),
            ("NUL after", format!("{text}\0")),
            ("NUL before", format!("\0{text}")),
            ("a block comment", format!("{open}/* */}}")),
            ("a line comment", format!("{open}// x\n}}")),
            ("a hash comment", format!("# x\n{text}")),
            ("single quotes", text.replace('"', "'")),
            ("unquoted names", format!("{open},x:1}}")),
            ("NaN", format!("{open},\"x\":NaN}}")),
            ("Infinity", format!("{open},\"x\":-Infinity}}")),
            ("undefined", format!("{open},\"x\":undefined}}")),
            ("True", format!("{open},\"x\":True}}")),
            ("a leading zero", format!("{open},\"x\":01}}")),
            ("a plus sign", format!("{open},\"x\":+1}}")),
            ("a bare fraction", format!("{open},\"x\":.5}}")),
            ("hexadecimal", format!("{open},\"x\":0x10}}")),
            ("underscores", format!("{open},\"x\":1_0}}")),
            ("a raw newline", format!("{open},\"x\":\"a\nb\"}}")),
            ("a raw tab", format!("{open},\"x\":\"a\tb\"}}")),
            ("a raw NUL", format!("{open},\"x\":\"a\0b\"}}")),
            ("an unknown escape", format!("{open},\"x\":\"\\x41\"}}")),
            ("an octal escape", format!("{open},\"x\":\"\\101\"}}")),
            ("a short escape", format!("{open},\"x\":\"\\u41\"}}")),
            ("vertical white space", format!("\x0b{text}")),
            ("a no-break space", format!("\u{a0}{text}")),
            ("a byte order mark", format!("\u{feff}{text}")),
            ("a security prefix", format!(")]}}',\n{text}")),
        ] {
            attacks.push((format!("{part}: {case}"), sign(text.into_bytes()), Malformed));
        }
        let utf16 = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        attacks.push((format!("{part}: UTF-16, big end first"), sign(utf16(u16::to_be_bytes)), Malformed));
        attacks.push((format!("{part}: UTF-16, little end first"), sign(utf16(u16::to_le_bytes)), Malformed));
    }
    let spaced = |text: &str| format!("\r\n\t {} \n", text.replace(",\"", " ,\n\t\"").replace("\":", "\" : "));
    table(Class::InvalidJson, &trusted().sign_bytes(spaced(&header), spaced(&payload)), attacks)
}

fn not_unicode() -> Vec<Row> {
    let mut attacks: Vec<Attack> = Vec::new();
    for (case, bytes) in [
        ("a byte that is never valid", &b"\xff"[..]),
        ("a continuation alone", b"\x80"),
        ("a sequence cut short", b"\xe2\x82"),
        ("an overlong quote", b"\xc0\xa2"),
        ("an overlong slash", b"\xe0\x80\xaf"),
        ("an overlong NUL", b"\xc0\x80"),
        ("a surrogate", b"\xed\xa0\x80"),
        ("surrogates in a pair", b"\xed\xa0\xbd\xed\xb8\x80"),
        ("beyond the last character", b"\xf4\x90\x80\x80"),
        ("five bytes", b"\xf8\x88\x80\x80\x80"),
        ("Latin-1", b"\xe4dne"),
        ("an escaped surrogate", br"\ud800"),
        ("an escaped low surrogate", br"\udc00"),
        ("escaped surrogates about", br"\udc00\ud800"),
        ("an escaped surrogate and a text", br"\ud800x"),
    ] {
        let spoilt = |object: &Value, member: &str| {
            let text = appended(object, member);
            let (before, after) = text.split_once('@').expect("a place");
            [before.as_bytes(), bytes, after.as_bytes()].concat()
        };
        for member in [r#""x":"@""#, r#""@":1"#, r#""x":{"y":["@"]}"#] {
            attacks.push((format!("header: {case} in {member}"), with_header(spoilt(&header(), member)), Malformed));
            attacks.push((format!("payload: {case} in {member}"), with_payload(spoilt(&payload(), member)), Malformed));
        }
        let sub = spoilt(&without(payload(), "sub"), r#""sub":"user_ada@""#);
        attacks.push((format!("sub: {case}"), with_payload(sub), Malformed));
    }
    let unicode = appended(&with(payload(), "name", "Ada \u{1f600} \u{e4}"), r#""x":"\ud83d\ude00 \u0000""#);
    table(Class::InvalidUtf8, &with_payload(unicode), attacks)
}
