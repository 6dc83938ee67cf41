use std::{fs, path::Path};

use crate::support::{Answer, Program, send};

/// Sends what a printed curl line would send.
async fn curl(line: &str) -> Answer {
    let words = line.split('\'').enumerate().flat_map(|(index, part)| match index % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
        _ => vec![part.to_owned()],
    });
    let words = words.collect::<Vec<_>>();
    let after = |option: &str| words.iter().position(|word| word == option).map(|index| words[index + 1].as_str());
    let url = words.iter().find_map(|word| word.strip_prefix("http://")).expect("a URL");
    let (address, path) = url.split_at(url.find('/').expect("a path"));
    let headers = words.windows(2).filter(|pair| pair[0] == "-H").map(|pair| format!("{}\r\n", pair[1]));
    let request = format!(
        "{} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{}\r\n",
        after("-X").unwrap_or("GET"),
        headers.collect::<String>()
    );
    send(address.parse().expect("an address"), &request).await
}

#[tokio::test]
async fn without_arguments_every_printed_curl_line_does_what_it_says() {
    let mut program = Program::start(&[], &[]).await;
    program.stdout.wait_for("/missing").await;
    let lines = program.stdout.all();
    let mut tried = 0;
    for pair in lines.windows(2).filter(|pair| pair[1].trim_start().starts_with("curl ")) {
        let status = pair[0].split(", ").last().expect("a title").trim_end_matches(':');
        let status = &status[..3];
        let answer = curl(&pair[1]).await;
        assert_eq!(answer.status.to_string(), status, "{pair:?}");
        assert_eq!(answer.head.contains("access-control-allow-origin"), pair[0].contains("CORS"), "{answer:?}");
        tried += 1;
    }
    assert_eq!(tried, 6, "{lines:#?}");

    let file = lines.iter().find_map(|line| line.strip_prefix("== ")).expect("a file");
    let folder = Path::new(file).parent().expect("a folder").to_owned();
    let shown = lines.join("\n");
    for name in ["policies.json", "routes.oas.json"] {
        let text = fs::read_to_string(folder.join(name)).expect("a file");
        assert!(shown.contains(text.trim_end()), "{name}");
    }
    program.signal("INT");
    assert_eq!(program.end().await, Some(0));
    assert!(!folder.exists(), "the temporary folder is removed");
}
