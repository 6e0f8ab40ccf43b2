use crate::config::SuiteConfig;
use crate::ids::Reference;

const AGENTS: &str = "version: 1\nagents:\n  small: { codebuild: { project: p } }\nrepositories:\n";
const ORDINARY: &str = "arn:aws:iam::123456789012:role/bellhop-agent/shop";
const PROTECTED: &str = "arn:aws-cn:iam::123456789012:role/shop-protected";

fn suite(shop: &str) -> Result<SuiteConfig, String> {
    let text = format!("{AGENTS}  shop: {{ agents: small, {shop} }}\n  ops: {{ agents: small }}\n");
    SuiteConfig::parse(&text).map_err(|error| error.headline())
}

fn role(suite: &SuiteConfig, repository: &str, reference: Option<&str>) -> Option<String> {
    let reference: Option<Reference> = reference.map(|reference| reference.parse().unwrap());
    let role = suite.role(&repository.parse().unwrap(), reference.as_ref());
    role.map(ToString::to_string)
}

#[test]
fn each_branch_and_tag_has_its_role() {
    let both = suite(&format!(
        "role: '{ORDINARY}', protected: {{ refs: [main, 'refs/tags/v*'], role: '{PROTECTED}' }}"
    ))
    .unwrap();
    for (reference, expected) in [
        (Some("refs/heads/main"), PROTECTED),
        (Some("refs/tags/v1"), PROTECTED),
        (Some("refs/heads/v1"), ORDINARY),
        (Some("refs/heads/next"), ORDINARY),
        (None, ORDINARY),
    ] {
        assert_eq!(role(&both, "shop", reference).as_deref(), Some(expected), "{reference:?}");
    }
    assert_eq!(role(&both, "ops", Some("refs/heads/main")), None);
    let protected = suite(&format!("protected: {{ refs: main, role: '{PROTECTED}' }}")).unwrap();
    assert_eq!(role(&protected, "shop", Some("refs/heads/main")).as_deref(), Some(PROTECTED));
    assert_eq!(role(&protected, "shop", Some("refs/heads/next")), None);
}

#[test]
fn what_is_no_role_is_named() {
    for (shop, expected) in [
        (
            "role: shop",
            ".role: `shop` is not a valid role: expected the ARN of an IAM role, such as arn:aws:iam::123456789012:role/bellhop-agent/shop",
        ),
        (
            "role: 'arn:aws:iam::123456789012:user/ada'",
            ".role: `arn:aws:iam::123456789012:user/ada` is not a valid role: expected the ARN of an IAM role, such as arn:aws:iam::123456789012:role/bellhop-agent/shop",
        ),
        ("protected: { refs: main }", ".protected: missing key `role`"),
        (
            "protected: { refs: [], role: 'arn:aws:iam::123456789012:role/a' }",
            ".protected.refs: an empty list: expected at least one pattern; to serve every branch and tag, remove the key",
        ),
    ] {
        let refused = suite(shop).unwrap_err();
        assert_eq!(
            refused,
            format!("config/bellhop.yaml, line 5, repositories.shop{expected}"),
            "{shop}"
        );
    }
}
