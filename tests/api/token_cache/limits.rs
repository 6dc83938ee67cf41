use tower_clerk::{Verifier, verify::TokenCacheStatus};

use super::{Fixture, verify};

const MIB: usize = 1024 * 1024;

async fn fill(fixture: &Fixture, verifier: &Verifier, tokens: usize, padding: usize) -> TokenCacheStatus {
    for index in 0..tokens {
        let token = fixture.issuer.token("u").claim("n", index).claim("pad", "x".repeat(padding)).sign();
        assert_eq!(verify(verifier, &token).await, Ok(()));
    }
    verifier.token_cache_status()
}

#[tokio::test]
async fn entries_stay_within_the_entry_limit() {
    let fixture = Fixture::new();
    let verifier = fixture.builder().token_cache_entries(100).token_cache_bytes(32 * MIB).build().expect("a verifier");
    let status = fill(&fixture, &verifier, 300, 0).await;
    assert!(status.entries > 50 && status.entries <= 100, "{status:?}");
    for index in 0..300 {
        let token = fixture.issuer.token("u").claim("n", index).claim("pad", "").sign();
        assert_eq!(verify(&verifier, &token).await, Ok(()), "an evicted token is verified again");
    }
}

#[tokio::test]
async fn a_capacity_of_one_caches_one_token() {
    let fixture = Fixture::new();
    for capacity in 1..=8 {
        let verifier =
            fixture.builder().token_cache_entries(capacity).token_cache_bytes(MIB).build().expect("a verifier");
        let status = fill(&fixture, &verifier, 20, 0).await;
        assert!((1..=capacity).contains(&status.entries), "{capacity}: {status:?}");
    }
}

#[tokio::test]
async fn the_entry_limit_applies_without_a_byte_limit() {
    let fixture = Fixture::new();
    let tokens: Vec<String> = (0..140).map(|index| fixture.issuer.token("u").claim("n", index).sign()).collect();
    for capacity in [1, 2, 31, 32, 63, 64, 127] {
        for bytes in [usize::MAX, usize::MAX / 2, 1 << 40] {
            let verifier =
                fixture.builder().token_cache_entries(capacity).token_cache_bytes(bytes).build().expect("a verifier");
            for token in &tokens {
                assert_eq!(verify(&verifier, token).await, Ok(()));
            }
            let entries = verifier.token_cache_status().entries;
            assert!((capacity.div_ceil(2)..=capacity).contains(&entries), "{capacity} {bytes}: {entries}");
        }
    }
}

#[tokio::test]
async fn bytes_stay_within_the_byte_limit() {
    let fixture = Fixture::new();
    let verifier = fixture.builder().token_cache_entries(10_000).token_cache_bytes(MIB).build().expect("a verifier");
    let status = fill(&fixture, &verifier, 200, 10_000).await;
    assert!(status.bytes > 500_000 && status.bytes <= 1_048_576, "{status:?}");
    assert!(status.entries < 200, "{status:?}");
}

#[tokio::test]
async fn tokens_of_16_kib_stay_within_32_mib_by_default() {
    let fixture = Fixture::new();
    let status = fill(&fixture, &fixture.verifier(), 10_000, 11_700).await;
    let bound = 32 * 1024 * 1024;
    assert!(status.bytes > bound / 2 && status.bytes <= bound, "{status:?}");
    assert!(status.entries < 10_000, "{status:?}");
}

#[tokio::test]
async fn the_weight_of_masks_includes_their_decoded_size() {
    let fixture = Fixture::new();
    let verifier = fixture.verifier();
    let plain = fill(&fixture, &verifier, 1, 900).await;
    let names: Vec<String> = (0..1000).map(|index| format!("permission_{index}")).collect();
    let masks = serde_json::json!({ "id": "org_a", "rol": "admin", "per": names.join(","), "fpm": "9".repeat(301) });
    let feature = format!("o:{}", "f".repeat(60));
    let token = fixture.issuer.token("u").claim("o", masks).claim("fea", feature).sign();
    let config = fixture.issuer.config().max_token_length(64 * 1024).expect("a length");
    let other = Verifier::builder(config).clock(fixture.clock.clone()).build().expect("a verifier");
    assert_eq!(verify(&other, &token).await, Ok(()));
    let masked = other.token_cache_status();
    let claims = other.try_verify(&token).expect("accepted");
    let decoded: usize = claims.organization().expect("an organization").permissions().map(str::len).sum();
    assert!(decoded > 30_000);
    let least = plain.bytes + u64::try_from(decoded).expect("it is small");
    assert!(masked.bytes > least, "{plain:?} {masked:?} {decoded}");
}

#[tokio::test]
async fn the_weight_of_version_1_permissions_includes_their_decoded_size() {
    let fixture = Fixture::new();
    let verifier = fixture.verifier();
    let permissions: Vec<String> = (0..500).map(|index| format!("org:a:{index}")).collect();
    let token = fixture.issuer.token("u").v1().claim("org_id", "org_a").claim("org_permissions", &permissions).sign();
    assert_eq!(verify(&verifier, &token).await, Ok(()));
    let text: usize = permissions.iter().map(String::len).sum();
    // The payload, and the permissions again in decoded form.
    let least = token.len() / 2 + text;
    assert!(verifier.token_cache_status().bytes > u64::try_from(least).expect("it is small"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_verified_concurrently_is_one_entry() {
    let fixture = Fixture::new();
    let verifier = fixture.verifier();
    let token = fixture.issuer.token("u").sign();
    let all: Vec<_> = (0..64)
        .map(|_| {
            let (verifier, token) = (verifier.clone(), token.clone());
            tokio::spawn(async move { verify(&verifier, &token).await })
        })
        .collect();
    for one in all {
        assert_eq!(one.await.expect("no panic"), Ok(()));
    }
    assert_eq!((verifier.token_cache_status().entries, fixture.fetches()), (1, 1));
}
