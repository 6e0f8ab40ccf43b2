//! AWS's partitions: which domain a region's services have. From `botocore/data/partitions.json`.

/// The domain of a region's services.
#[must_use]
pub fn domain(region: &str) -> &'static str {
    DOMAINS
        .iter()
        .find(|(prefix, _)| region.starts_with(prefix))
        .map_or(COMMON, |(_, domain)| domain)
}

/// The domain of most regions, and of those in `us-gov-`.
const COMMON: &str = "amazonaws.com";

/// The domains of the others, by what their regions begin with.
const DOMAINS: [(&str, &str); 6] = [
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov"),
];

/// The region of an address of CodeCommit for Git: `git-codecommit.REGION.DOMAIN`, also `git-codecommit-fips` and VPC endpoints
/// (<https://docs.aws.amazon.com/codecommit/latest/userguide/regions.html>). None if the host is another one.
#[must_use]
pub fn region_of_codecommit(host: &str) -> Option<&str> {
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    let mut labels = name.split('.');
    let mut first = labels.next()?;
    if first.starts_with("vpce-") {
        first = labels.next()?;
    }
    if !matches!(first, "git-codecommit" | "git-codecommit-fips") {
        return None;
    }
    let region = labels.next()?;
    let is_region = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let domain_of_host: Vec<&str> = labels.collect();
    let domain_of_host = domain_of_host.join(".");
    let domain_of_host = domain_of_host.strip_prefix("vpce.").unwrap_or(&domain_of_host);
    (!region.is_empty() && region.bytes().all(is_region) && domain_of_host == domain(region)).then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains() {
        for (region, expected) in [
            ("eu-west-1", "amazonaws.com"),
            ("us-gov-west-1", "amazonaws.com"),
            ("cn-north-1", "amazonaws.com.cn"),
            ("eusc-de-east-1", "amazonaws.eu"),
            ("us-iso-east-1", "c2s.ic.gov"),
            ("us-isob-east-1", "sc2s.sgov.gov"),
            ("eu-isoe-west-1", "cloud.adc-e.uk"),
            ("us-isof-south-1", "csp.hci.ic.gov"),
        ] {
            assert_eq!(domain(region), expected);
            assert_eq!(region_of_codecommit(&format!("git-codecommit.{region}.{expected}")), Some(region));
        }
    }

    #[test]
    fn hosts() {
        assert_eq!(
            region_of_codecommit("git-codecommit-fips.us-east-2.amazonaws.com:443"),
            Some("us-east-2")
        );
        let endpoint = "vpce-0a1b-2c3d.git-codecommit.us-east-1.vpce.amazonaws.com";
        assert_eq!(region_of_codecommit(endpoint), Some("us-east-1"));
        for host in [
            "",
            "example.com",
            "git-codecommit.us-east-1.amazonaws.com.evil.example",
            "git-codecommit.us-east-1.example.com",
            "git-codecommit.cn-north-1.amazonaws.com",
            "evil-git-codecommit.us-east-1.amazonaws.com",
            "git-codecommit..amazonaws.com",
            "127.0.0.1:8000",
        ] {
            assert_eq!(region_of_codecommit(host), None, "{host}");
        }
    }
}
