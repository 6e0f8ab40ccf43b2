//! Restore tests: which resources can be restored next to the original and deleted again, and with which metadata
//! (<https://docs.aws.amazon.com/aws-backup/latest/devguide/restore-testing-inferred-metadata.html>).

use std::collections::BTreeMap;

/// The names of the kinds that can be tested, for messages.
pub const TESTABLE: &str = "a DynamoDB table, an EFS file system or an EBS volume";

/// A kind of resource whose restore creates a new resource that can be distinguished from the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A DynamoDB table.
    DynamoDb,
    /// An EFS file system.
    Efs,
    /// An EBS volume.
    Ebs,
}

/// A resource by its ARN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resource<'a> {
    /// Its kind.
    pub kind: Kind,
    /// The ARN up to the account: partition, service, region and account.
    pub place: &'a str,
    /// Its name within that: a table's name, the id of a file system or a volume.
    pub name: &'a str,
}

impl<'a> Resource<'a> {
    /// Parses an ARN; `None` for a resource that cannot be tested.
    #[must_use]
    pub fn of(arn: &'a str) -> Option<Self> {
        let at = arn.match_indices(':').nth(4)?.0;
        let (place, rest) = (arn.get(..at)?, arn.get(at + 1..)?);
        let service = place.split(':').nth(2)?;
        let (kind, name) = match (service, rest.split_once('/')?) {
            ("dynamodb", ("table", name)) => (Kind::DynamoDb, name),
            ("elasticfilesystem", ("file-system", name)) => (Kind::Efs, name),
            ("ec2", ("volume", name)) => (Kind::Ebs, name),
            _ => return None,
        };
        let fits = !name.is_empty() && !name.contains(['/', ':']);
        fits.then_some(Self { kind, place, name })
    }
}

impl Kind {
    /// Its resource type in AWS Backup.
    #[must_use]
    pub fn backup_type(self) -> &'static str {
        match self {
            Self::DynamoDb => "DynamoDB",
            Self::Efs => "EFS",
            Self::Ebs => "EBS",
        }
    }

    /// Its type name in Cloud Control.
    #[must_use]
    pub fn type_name(self) -> &'static str {
        match self {
            Self::DynamoDb => "AWS::DynamoDB::Table",
            Self::Efs => "AWS::EFS::FileSystem",
            Self::Ebs => "AWS::EC2::Volume",
        }
    }

    /// The metadata keys that Bellhop sets: they request a new resource, and its name.
    #[must_use]
    pub fn own_keys(self) -> &'static [&'static str] {
        match self {
            Self::DynamoDb => &["targetTableName", "originalTableName", "deletionProtection"],
            Self::Efs => &["newFileSystem", "CreationToken", "file-system-id", "itemsToRestore"],
            Self::Ebs => &["volumeId"],
        }
    }

    /// The metadata keys that the configuration must set, because nothing else does.
    #[must_use]
    pub fn required_keys(self) -> &'static [&'static str] {
        match self {
            Self::DynamoDb | Self::Efs => &[],
            Self::Ebs => &["availabilityZone"],
        }
    }

    fn new_resource(self, name: &str) -> Vec<(&'static str, String)> {
        match self {
            Self::DynamoDb => vec![
                ("targetTableName", name.to_owned()),
                ("encryptionType", "Default".to_owned()),
                ("deletionProtection", "false".to_owned()),
            ],
            Self::Efs => vec![("newFileSystem", "true".to_owned()), ("CreationToken", name.to_owned())],
            Self::Ebs => Vec::new(),
        }
    }
}

/// The metadata of a restore that creates a new resource: AWS Backup's metadata of the recovery point, the keys that request a new resource with this
/// name, and the overrides of the configuration. AWS ignores the case of the keys.
#[must_use]
pub fn metadata(kind: Kind, name: &str, kept: BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut metadata = kept;
    let mut set = |key: &str, value: &str| {
        metadata.retain(|other, _| !other.eq_ignore_ascii_case(key));
        metadata.insert(key.to_owned(), value.to_owned());
    };
    let own = kind.new_resource(name);
    // `encryptionType` is only a default: the configuration may name a key.
    for (key, value) in &own {
        set(key, value);
    }
    for (key, value) in wanted {
        if !kind.own_keys().iter().any(|own| own.eq_ignore_ascii_case(key)) {
            set(key, value);
        }
    }
    metadata
}

/// Why Bellhop must not delete the resource that a restore job created; `None` if it is new, of the original's kind, account and region, and has the
/// requested name, for kinds with names.
#[must_use]
pub fn forbids_removal(original: &str, created: &str, name: &str) -> Option<&'static str> {
    match (Resource::of(original), Resource::of(created)) {
        (Some(original), Some(created)) => {
            if (original.kind, original.place) != (created.kind, created.place) {
                Some("its kind, account or region is not the original's")
            } else if original.name == created.name {
                Some("it is the original itself")
            } else if original.kind == Kind::DynamoDb && created.name != name {
                Some("its name is not the one that the test chose")
            } else {
                None
            }
        }
        _ => Some("restore tests do not create resources of its kind"),
    }
}

/// The ARN of a resource with this name, of the original's kind, account and region; `None` if a restore cannot name resources of the kind.
#[must_use]
pub fn named_like(original: &str, name: &str) -> Option<String> {
    let original = Resource::of(original)?;
    (original.kind == Kind::DynamoDb).then(|| format!("{}:table/{name}", original.place))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]
mod tests {
    use super::*;

    const TABLE: &str = "arn:aws:dynamodb:us-east-1:123456789012:table/suite";
    const FILES: &str = "arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/fs-0a";
    const VOLUME: &str = "arn:aws-cn:ec2:cn-north-1:123456789012:volume/vol-1";

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn kinds_are_read_from_arns() {
        for (arn, kind, name) in [
            (TABLE, Kind::DynamoDb, "suite"),
            (FILES, Kind::Efs, "fs-0a"),
            (VOLUME, Kind::Ebs, "vol-1"),
        ] {
            let resource = Resource::of(arn).unwrap();
            assert_eq!((resource.kind, resource.name), (kind, name));
        }
        for other in [
            "arn:aws:s3:::bucket",
            "arn:aws:rds:us-east-1:123456789012:db:shop",
            "arn:aws:ec2:us-east-1:123456789012:instance/i-1",
            "arn:aws:dynamodb:us-east-1:123456789012:table/suite/backup/1",
            "arn:aws:dynamodb:us-east-1:123456789012:table/",
            "table/suite",
            "",
        ] {
            assert_eq!(Resource::of(other), None, "{other}");
        }
    }

    #[test]
    fn a_restore_creates_something_new_whatever_the_configuration_says() {
        let kept = map(&[("originalTableName", "suite"), ("EncryptionType", "KMS")]);
        let wanted = map(&[("TARGETTABLENAME", "suite"), ("encryptiontype", "KMS"), ("kmsMasterKeyArn", "k")]);
        let made = metadata(Kind::DynamoDb, "test-1", kept, &wanted);
        assert_eq!(
            made,
            map(&[
                ("originalTableName", "suite"),
                ("targetTableName", "test-1"),
                ("deletionProtection", "false"),
                ("encryptiontype", "KMS"),
                ("kmsMasterKeyArn", "k"),
            ])
        );
        let kept = map(&[("file-system-id", "fs-0a"), ("newFileSystem", "false"), ("creationtoken", "old")]);
        let made = metadata(Kind::Efs, "test-1", kept, &map(&[("newfilesystem", "false")]));
        assert_eq!(
            made,
            map(&[("file-system-id", "fs-0a"), ("newFileSystem", "true"), ("CreationToken", "test-1")])
        );
        let made = metadata(
            Kind::Ebs,
            "test-1",
            map(&[("volumeId", "vol-1")]),
            &map(&[("availabilityZone", "a")]),
        );
        assert_eq!(made, map(&[("volumeId", "vol-1"), ("availabilityZone", "a")]));
    }

    #[test]
    fn only_what_a_test_created_may_be_removed() {
        let table = |name: &str| format!("arn:aws:dynamodb:us-east-1:123456789012:table/{name}");
        assert_eq!(forbids_removal(TABLE, &table("test-1"), "test-1"), None);
        assert!(forbids_removal(TABLE, TABLE, "suite").unwrap().contains("original itself"));
        assert!(forbids_removal(TABLE, &table("orders"), "test-1").unwrap().contains("name"));
        assert!(forbids_removal(TABLE, FILES, "test-1").unwrap().contains("kind, account or region"));
        let elsewhere = "arn:aws:dynamodb:us-east-1:999999999999:table/test-1";
        assert!(
            forbids_removal(TABLE, elsewhere, "test-1")
                .unwrap()
                .contains("kind, account or region")
        );
        assert!(forbids_removal(TABLE, "arn:aws:s3:::bucket", "test-1").is_some());
        assert!(forbids_removal(FILES, FILES, "test-1").is_some());
        let other = "arn:aws:elasticfilesystem:us-east-1:123456789012:file-system/fs-0b";
        assert_eq!(forbids_removal(FILES, other, "test-1"), None);
        let kinds = [Kind::DynamoDb, Kind::Efs, Kind::Ebs];
        assert_eq!(
            kinds.map(Kind::type_name),
            ["AWS::DynamoDB::Table", "AWS::EFS::FileSystem", "AWS::EC2::Volume"]
        );
        assert_eq!(kinds.map(Kind::backup_type), ["DynamoDB", "EFS", "EBS"]);
    }
}
