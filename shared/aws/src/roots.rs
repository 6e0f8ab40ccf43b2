//! The certificate authorities that clients trust.
//!
//! Reading a system's whole store, about 140 authorities, took more of a cold start than everything else together. AWS's endpoints need five: those
//! that Amazon Trust Services recommends for a custom store (<https://www.amazontrust.com/repository/>).

use aws_smithy_http_client::tls::{TlsContext, TrustStore};

/// "Amazon Root CA" 1 to 4 and "Starfield Services Root Certificate Authority - G2", as PEM.
const AMAZON: &str = include_str!("roots.pem");

/// Beginnings of the names of regions whose endpoints have certificates of Amazon Trust Services.
const REGIONS: [&str; 11] = [
    "af-", "ap-", "ca-", "eu-", "il-", "me-", "mx-", "sa-", "us-east-", "us-west-", "us-gov-",
];

/// Variables that name another store; if one is set, that store is used.
const ELSEWHERE: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// The trusted authorities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trusted {
    /// Amazon Trust Services.
    Amazon,
    /// The system's authorities: in regions with other authorities (China, the isolated and the European Sovereign ones), in unknown regions, and if
    /// the environment names a store, for instance behind a proxy that inspects connections.
    System,
}

impl Trusted {
    /// The authorities for requests from `region`, by a process whose variables `lookup` returns.
    pub(crate) fn choose(region: Option<&str>, lookup: impl Fn(&str) -> Option<String>) -> Self {
        let named = ELSEWHERE.iter().any(|name| lookup(name).is_some_and(|value| !value.is_empty()));
        let amazons = region.is_some_and(|region| REGIONS.iter().any(|start| region.starts_with(start)) && !region.contains("-iso"));
        if amazons && !named { Self::Amazon } else { Self::System }
    }

    /// The HTTP client of a service's client.
    pub(crate) fn context(self) -> TlsContext {
        match self {
            Self::Amazon => {
                let store = TrustStore::empty().with_pem_certificate(AMAZON);
                // The TLS library may refuse this store in a later version; the system's store is the fallback.
                TlsContext::builder().with_trust_store(store).build().unwrap_or_default()
            }
            Self::System => TlsContext::default(),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;
    use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

    use super::*;

    fn chosen(region: Option<&str>) -> Trusted {
        Trusted::choose(region, |_| None)
    }

    /// Compares with Mozilla's list of authorities: it has no entry for a certificate that was changed or made up.
    #[test]
    fn the_five_are_authorities_that_everybody_trusts() {
        let ours: Vec<_> = CertificateDer::pem_slice_iter(AMAZON.as_bytes()).collect::<Result<_, _>>().unwrap();
        assert_eq!(ours.len(), 5);
        for (index, certificate) in ours.iter().enumerate() {
            assert!(TLS_SERVER_ROOT_CERTS.contains(certificate), "certificate {}", index + 1);
            assert!(
                !ours.iter().skip(index + 1).any(|other| other == certificate),
                "certificate {}",
                index + 1
            );
        }
        for name in [
            "Amazon Root CA 1",
            "Amazon Root CA 2",
            "Amazon Root CA 3",
            "Amazon Root CA 4",
            "Starfield Services Root",
        ] {
            let named = ours
                .iter()
                .filter(|certificate| certificate.windows(name.len()).any(|part| part == name.as_bytes()));
            assert_eq!(named.count(), 1, "{name}");
        }
    }

    #[test]
    fn amazons_authorities_are_trusted_where_amazon_certifies() {
        for region in [
            "eu-west-1",
            "us-east-1",
            "us-west-2",
            "us-gov-west-1",
            "ap-southeast-4",
            "ca-west-1",
            "il-central-1",
            "mx-central-1",
        ] {
            assert_eq!(chosen(Some(region)), Trusted::Amazon, "{region}");
        }
        for region in [
            "cn-north-1",
            "us-iso-east-1",
            "us-isob-east-1",
            "eu-isoe-west-1",
            "eusc-de-east-1",
            "local",
        ] {
            assert_eq!(chosen(Some(region)), Trusted::System, "{region}");
        }
        assert_eq!(chosen(None), Trusted::System);
    }

    #[test]
    fn a_store_that_the_environment_names_is_the_one() {
        for variable in ELSEWHERE {
            let named = |value: &'static str| Trusted::choose(Some("eu-west-1"), move |name| (name == variable).then(|| value.to_owned()));
            assert_eq!(named("/opt/company.pem"), Trusted::System, "{variable}");
            assert_eq!(named(""), Trusted::Amazon, "{variable}");
        }
    }
}
