//! The files for Istio and Kubernetes are not run here, but what they say agrees with the program and with each other.

use std::fs;

use yaml_rust2::{Yaml, YamlLoader};

/// The documents of a file beside the manifest.
fn read(name: &str) -> Vec<Yaml> {
    let text = fs::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    YamlLoader::load_from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn of_kind<'a>(documents: &'a [Yaml], kind: &str) -> Vec<&'a Yaml> {
    documents.iter().filter(|document| document["kind"].as_str() == Some(kind)).collect()
}

fn list(yaml: &Yaml) -> &[Yaml] {
    yaml.as_vec().map_or(&[], Vec::as_slice)
}

fn containers(deployment: &Yaml) -> impl Iterator<Item = &Yaml> {
    let pod = &deployment["spec"]["template"]["spec"];
    list(&pod["containers"]).iter().chain(list(&pod["initContainers"]))
}

/// The number of a port of a container, by its name.
fn port(container: &Yaml, name: &str) -> Option<i64> {
    list(&container["ports"]).iter().find(|port| port["name"].as_str() == Some(name))?["containerPort"].as_i64()
}

#[test]
fn every_probe_of_the_program_asks_a_port_and_a_path_that_it_has() {
    let documents = read("kubernetes.yaml");
    let mut probes = 0;
    for container in of_kind(&documents, "Deployment").into_iter().flat_map(containers) {
        let is_program = container["name"].as_str() == Some("ext-authz");
        assert_eq!(is_program, container["image"].as_str().unwrap().contains("ext_authz"));
        if !is_program {
            continue;
        }
        assert_eq!((port(container, "grpc"), port(container, "admin")), (Some(9001), Some(9002)));
        for (probe, path) in
            [("startupProbe", "/healthz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")]
        {
            let get = &container[probe]["httpGet"];
            if !get.is_badvalue() {
                assert_eq!((get["path"].as_str(), get["port"].as_str()), (Some(path), Some("admin")), "{probe}");
                probes += 1;
            }
        }
        assert_eq!(container["args"][0].as_str(), Some("--address"));
        assert!(!container["resources"]["requests"].is_badvalue());
        // Without a number, the image would have to have one.
        let security = &container["securityContext"];
        assert_eq!((security["runAsNonRoot"].as_bool(), security["runAsUser"].as_i64()), (Some(true), Some(65534)));
    }
    assert_eq!(probes, 5);
}

#[test]
fn every_service_finds_its_pods_and_their_ports() {
    let documents = read("kubernetes.yaml");
    let services = of_kind(&documents, "Service");
    assert_eq!(services.len(), 2);
    for service in services {
        let labelled = |deployment: &&&Yaml| {
            deployment["spec"]["template"]["metadata"]["labels"] == service["spec"]["selector"]
                && deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
        };
        let deployments = of_kind(&documents, "Deployment");
        let deployment = deployments.iter().find(labelled).unwrap();
        let target = service["spec"]["ports"][0]["targetPort"].as_str().unwrap();
        assert_eq!(containers(deployment).filter(|container| port(container, target).is_some()).count(), 1);
    }
}

#[test]
fn every_pod_is_scraped_and_says_who_may_reach_which_port() {
    let documents = read("kubernetes.yaml");
    let deployments = of_kind(&documents, "Deployment");
    assert_eq!(deployments.len(), of_kind(&documents, "NetworkPolicy").len());
    for deployment in deployments {
        let pod = &deployment["spec"]["template"]["metadata"];
        assert_eq!(pod["annotations"]["prometheus.io/port"].as_str(), Some("9002"));
        let policies = of_kind(&documents, "NetworkPolicy");
        let policy = policies.iter().find(|policy| policy["spec"]["podSelector"]["matchLabels"] == pod["labels"]);
        let rules = list(&policy.unwrap()["spec"]["ingress"]);
        for rule in rules {
            let name = rule["ports"][0]["port"].as_str().unwrap();
            assert!(containers(deployment).any(|container| port(container, name).is_some()), "{name}");
            // Everyone, for Envoy's port alone.
            assert_eq!(rule["from"].is_badvalue(), name == "http", "{name}");
        }
        assert!(rules.iter().any(|rule| rule["ports"][0]["port"].as_str() == Some("admin")));
    }
}

#[test]
fn istio_asks_the_service_and_its_policy_names_the_provider() {
    let (mesh, istio, kubernetes) = (read("istio-mesh.yaml"), read("istio.yaml"), read("kubernetes.yaml"));
    // `kubectl` does not know the kind, and `istioctl install` no other.
    assert_eq!((mesh.len(), of_kind(&istio, "IstioOperator").len()), (1, 0));
    let provider = &of_kind(&mesh, "IstioOperator")[0]["spec"]["meshConfig"]["extensionProviders"][0];
    let policy = of_kind(&istio, "AuthorizationPolicy")[0];
    assert_eq!(policy["spec"]["action"].as_str(), Some("CUSTOM"));
    assert_eq!(policy["spec"]["provider"]["name"], provider["name"]);
    let grpc = &provider["envoyExtAuthzGrpc"];
    let service = of_kind(&kubernetes, "Service")
        .into_iter()
        .find(|service| {
            let metadata = &service["metadata"];
            let [name, namespace] = ["name", "namespace"].map(|field| metadata[field].as_str().unwrap());
            grpc["service"].as_str() == Some(&format!("{name}.{namespace}.svc.cluster.local"))
        })
        .unwrap();
    assert_eq!(service["spec"]["ports"][0]["port"], grpc["port"]);
    // As in the sample for Envoy.
    assert_eq!((grpc["failOpen"].as_bool(), grpc["statusOnError"].as_str()), (Some(false), Some("503")));
    assert_eq!(grpc["timeout"].as_str(), Some("5s"));
    let filter = of_kind(&istio, "EnvoyFilter")[0];
    assert_eq!(filter["spec"]["workloadSelector"]["labels"], policy["spec"]["selector"]["matchLabels"]);
}

#[test]
fn all_samples_let_the_same_paths_pass() {
    let (envoy, istio) = (read("envoy.yaml"), read("istio.yaml"));
    let manager = &envoy[0]["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    let first = &manager["route_config"]["virtual_hosts"][0]["routes"][0];
    assert_eq!(first["direct_response"]["status"].as_i64(), Some(400));
    let path = first["match"]["headers"][0]["string_match"]["safe_regex"]["regex"].as_str().unwrap();
    let rules =
        &of_kind(&istio, "EnvoyFilter")[0]["spec"]["configPatches"][0]["patch"]["value"]["typed_config"]["rules"];
    let permission = &rules["policies"]["plain_paths"]["permissions"][0];
    let of_istio = permission["url_path"]["path"]["safe_regex"]["regex"].as_str().unwrap();
    // Without the query there.
    assert_eq!(path, format!("{of_istio}(\\?.*)?"));
}

#[test]
fn all_samples_remove_the_same_identity_headers() {
    let texts = ["envoy.yaml", "istio.yaml"].map(|name| {
        let text = fs::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        text.lines()
            .filter(|line| line.trim_start().starts_with("- remove_on_match") && line.contains("clerk"))
            .map(|line| line.trim().to_owned())
            .collect::<Vec<_>>()
    });
    assert_eq!(texts[0].len(), 2);
    assert_eq!(texts[0], texts[1]);
}
