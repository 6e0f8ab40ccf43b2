#![expect(clippy::unwrap_used, reason = "a test may stop at what should not be")]

use proptest::prelude::*;

use super::attributes::LONGEST_NAME;
use super::*;
use crate::results::found::Tests;

mod dialects;

fn tests(run: u64, failed: u64, skipped: u64, failures: &[&str]) -> Tests {
    Tests {
        run,
        failed,
        skipped,
        failures: failures.iter().map(|name| (*name).to_owned()).collect(),
        ..Tests::default()
    }
}

/// The tests of a report that is read to its end.
fn counted(xml: &str) -> Tests {
    let Counted { tests, incomplete } = count(xml.as_bytes()).unwrap();
    assert_eq!(incomplete, None, "{xml}");
    tests
}

/// The tests of a report that is read in part, and why.
fn in_part(bytes: &[u8]) -> (Tests, String) {
    let Counted { tests, incomplete } = count(bytes).unwrap();
    (tests, incomplete.unwrap().to_string())
}

fn refusal(xml: &str) -> String {
    count(xml.as_bytes()).unwrap_err().to_string()
}

// -- what test runners write

#[test]
fn pytest() {
    // If the teardown breaks too, older versions write a failure and an error: this is one failed test.
    let xml = r#"<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests"><testsuite name="pytest" errors="2" failures="1" skipped="2"
tests="6" time="0.071" timestamp="2026-05-04T10:11:12.131415+00:00" hostname="build-7"><testcase classname="tests.test_cart" name="test_total" time="0.001" />
<testcase classname="tests.test_cart" name="test_rounding[0.5-&lt;half&gt;]" time="0.002"><failure message="assert 1 == 2&#10; +  where 1 = round(0.5)">def test_rounding(value):
&gt;       assert round(value) == 2
E       assert 1 == 2</failure><error message="failed on teardown">RuntimeError</error></testcase>
<testcase classname="tests.test_db.TestPool" name="test_leak" time="0.0"><error message="failed on setup with &quot;ConnectionError&quot;">…</error></testcase>
<testcase classname="tests.test_db.TestPool" name="test_big" time="0.0"><skipped type="pytest.skip" message="needs --slow">tests/test_db.py:9: needs --slow</skipped></testcase>
<testcase classname="tests.test_db.TestPool" name="test_later" time="0.0"><skipped type="pytest.xfail" message="" /></testcase>
<testcase classname="" name="tests.test_broken" time="0.000"><error message="collection failure">ImportError</error></testcase></testsuite></testsuites>"#;
    assert_eq!(
        counted(xml),
        tests(
            6,
            3,
            2,
            &[
                "tests.test_cart.test_rounding[0.5-<half>]",
                "tests.test_db.TestPool.test_leak",
                "tests.test_broken"
            ]
        )
    );
}

#[test]
fn surefire() {
    // A suite is the root. `flakyFailure` is a test that passed in the end, `rerunFailure` one more try of a test that did not.
    let xml = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuite xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="https://maven.apache.org/surefire/maven-surefire-plugin/xsd/surefire-test-report-3.0.2.xsd"
    version="3.0.2" name="shop.CartTest" time="0.1" tests="4" errors="0" skipped="1" failures="1" flakes="1">
  <properties>
    <property name="java.version" value="21"/>
    <property name="testcase" value="&lt;testcase/&gt;"/>
  </properties>
  <testcase name="adds" classname="shop.CartTest" time="0.01"/>
  <testcase name="settles" classname="shop.CartTest" time="0.02">
    <flakyFailure message="expected: &lt;1&gt;" type="org.opentest4j.AssertionFailedError"><stackTrace><![CDATA[at shop.CartTest]]></stackTrace></flakyFailure>
  </testcase>
  <testcase name="removes" classname="shop.CartTest" time="0.03">
    <failure message="expected: &lt;1&gt; but was: &lt;2&gt;" type="org.opentest4j.AssertionFailedError"><![CDATA[org.opentest4j.AssertionFailedError: <failure>
	at shop.CartTest.removes(CartTest.java:30)]]></failure>
    <rerunFailure message="again" type="x"><stackTrace>again</stackTrace></rerunFailure>
    <system-out><![CDATA[<testcase name="printed"><failure/></testcase>]]></system-out>
  </testcase>
  <testcase name="ships" classname="shop.CartTest" time="0"><skipped message="no carrier"/></testcase>
</testsuite>
"#;
    assert_eq!(counted(xml), tests(4, 1, 1, &["shop.CartTest.removes"]));
}

#[test]
fn nextest() {
    let xml = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="nextest-run" tests="3" failures="1" errors="0" uuid="6f1c" timestamp="2026-05-04T10:11:12.131+00:00" time="0.5">
    <testsuite name="shop::cart" tests="3" disabled="0" errors="0" failures="1">
        <testcase name="adds" classname="shop::cart" timestamp="2026-05-04T10:11:12.131+00:00" time="0.02">
        </testcase>
        <testcase name="removes" classname="shop::cart" time="0.03">
            <failure message="thread &apos;removes&apos; panicked at src/cart.rs:3:5" type="test failure with exit code 101">thread &apos;removes&apos; panicked &amp; stopped</failure>
            <rerunFailure type="test failure with exit code 101"><system-err>no</system-err></rerunFailure>
            <system-out>running 1 test</system-out>
            <system-err>note: run with `RUST_BACKTRACE=1`</system-err>
        </testcase>
        <testcase name="settles" classname="shop::cart" time="0.03">
            <flakyFailure type="test failure with exit code 101"><system-err>no</system-err></flakyFailure>
        </testcase>
    </testsuite>
</testsuites>
"#;
    assert_eq!(counted(xml), tests(3, 1, 0, &["shop::cart.removes"]));
}

#[test]
fn jest() {
    let xml = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="jest tests" tests="3" failures="1" errors="0" time="1.2">
  <testsuite name="cart" errors="0" failures="1" skipped="1" timestamp="2026-05-04T10:11:12" time="0.8" tests="3">
    <testcase classname="cart adds" name="cart adds" time="0.002">
    </testcase>
    <testcase classname="cart removes" name="cart removes" time="0.004">
      <failure>Error: expect(received).toBe(expected) // Object.is equality
    at Object.&lt;anonymous&gt; (cart.test.js:7:15)</failure>
    </testcase>
    <testcase classname="cart ships" name="cart ships" time="0">
      <skipped/>
    </testcase>
  </testsuite>
</testsuites>"#;
    assert_eq!(counted(xml), tests(3, 1, 1, &["cart removes"]));
}

#[test]
fn gotestsum() {
    let xml = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="4" failures="2" errors="0" time="0.3">
	<testsuite tests="4" failures="2" time="0.010000" name="example.com/shop/cart" timestamp="2026-05-04T10:11:12Z">
		<properties>
			<property name="go.version" value="go1.26 linux/arm64"></property>
		</properties>
		<testcase classname="example.com/shop/cart" name="TestAdd" time="0.000000"></testcase>
		<testcase classname="example.com/shop/cart" name="TestRemove" time="0.000000">
			<failure message="Failed" type="">=== RUN   TestRemove&#xA;--- FAIL: TestRemove (0.00s)&#xA;</failure>
		</testcase>
		<testcase classname="example.com/shop/cart" name="TestRemove/last_one" time="0.000000">
			<failure message="Failed" type="">    cart_test.go:12: no&#xA;</failure>
		</testcase>
		<testcase classname="example.com/shop/cart" name="TestShip" time="0.000000">
			<skipped message="=== RUN   TestShip&#xA;    cart_test.go:20: short&#xA;"></skipped>
		</testcase>
	</testsuite>
	<testsuite tests="0" failures="0" time="0.000000" name="example.com/shop/tools" timestamp="2026-05-04T10:11:12Z"/>
</testsuites>
"#;
    assert_eq!(
        counted(xml),
        tests(
            4,
            2,
            1,
            &["example.com/shop/cart.TestRemove", "example.com/shop/cart.TestRemove/last_one"]
        )
    );
}

// -- what else is counted

#[test]
fn totals_are_not_believed_and_nested_suites_count_once() {
    let xml = r#"<testsuites tests="99" failures="98">
        <testsuite tests="50" failures="0"><testcase name="a"/>
            <testsuite tests="49" failures="48"><testcase name="b"><failure/></testcase><testsuite><testcase name="c"/></testsuite></testsuite>
        </testsuite>
        <testcase name="d"><skipped/></testcase>
    </testsuites>"#;
    assert_eq!(counted(xml), tests(4, 1, 1, &["b"]));
}

#[test]
fn a_report_without_tests_is_a_report() {
    for xml in [
        "<testsuites/>",
        "<testsuite name='x'></testsuite>",
        "<testsuites><testsuite/></testsuites>",
    ] {
        assert_eq!(counted(xml), tests(0, 0, 0, &[]));
    }
}

#[test]
fn only_what_stands_directly_in_a_suite_or_test_counts() {
    let xml = "<testsuite><properties><testcase name='a'><failure/></testcase><failure/></properties>\
               <testcase name='b'><properties><failure/><skipped/></properties><testcase name='c'/><testsuite><testcase/></testsuite></testcase>\
               <system-out>x</system-out></testsuite>";
    assert_eq!(counted(xml), tests(1, 0, 0, &[]));
}

#[test]
fn a_test_is_counted_once() {
    let xml = "<testsuite><testcase name='a'><failure/><failure/><error/></testcase></testsuite>";
    assert_eq!(counted(xml), tests(1, 1, 0, &["a"]));
}

#[test]
fn namespaces_byte_order_marks_comments_and_declarations_are_no_hindrance() {
    let xml = "\u{feff}<?xml version='1.1' encoding='ISO-8859-1' standalone='yes'?>\n<?xml-stylesheet href='x'?><!-- <testcase> -- -->\n\
               <!DOCTYPE testsuites SYSTEM 'junit.dtd'>\n\
               <j:testsuites xmlns:j='urn:junit'><j:testsuite><j:testcase j:name='not this' name='a'><j:failure/></j:testcase></j:testsuite></j:testsuites>\n";
    assert_eq!(counted(xml), tests(1, 1, 0, &["a"]));
}

#[test]
fn reports_one_after_the_other_are_counted_together() {
    let one = "<?xml version='1.0'?>\n<testsuite><testcase name='a'><failure/></testcase></testsuite>\n";
    assert_eq!(counted(&one.repeat(3)), tests(3, 3, 0, &["a"]));
    assert_eq!(
        in_part(format!("{one}<html></html>").as_bytes()),
        (
            tests(1, 1, 0, &["a"]),
            "it is not a JUnit report: it begins with <html>, expected <testsuites> or <testsuite>".to_owned()
        )
    );
}

#[test]
fn sloppy_text_is_read() {
    let xml = "<testsuite><testcase name=\"a &undefined; &#0; & b\nc\td\" other=unquoted><failure>a && b; <![CDATA[ ]] > ]]>\u{1}\u{1b}[31m</failure></testcase></testsuite>";
    assert_eq!(counted(xml), tests(1, 1, 0, &["a &undefined; &#0; & b c d"]));
}

#[test]
fn names() {
    for (attributes, expected) in [
        ("classname='a.B' name='c'", "a.B.c".to_owned()),
        ("name='c'", "c".to_owned()),
        ("classname='' name=' c '", "c".to_owned()),
        ("classname='a.B'", "a.B".to_owned()),
        ("", "a test without a name".to_owned()),
        ("name='&lt;&#x1F388;&amp;amp;&gt;'", "<🎈&amp;>".to_owned()),
        ("name='a&#10;b&#27;[31mc'", "a b [31mc".to_owned()),
        ("name='first' name='second'", "first".to_owned()),
        (&format!("name='{}'", "ü".repeat(120)), "ü".repeat(120)),
        (&format!("name='{}'", "ü".repeat(121)), format!("{}…", "ü".repeat(119))),
        (
            &format!("classname='{}' name='b'", "a".repeat(119)),
            format!("{}…", "a".repeat(119)),
        ),
    ] {
        let xml = format!("<testsuite><testcase {attributes}><error/></testcase></testsuite>");
        assert_eq!(counted(&xml).failures, [expected], "{attributes}");
    }
}

#[test]
fn only_the_first_failures_are_named() {
    let cases: String = (0..25).map(|i| format!("<testcase name='t{i}'><failure/></testcase>")).collect();
    let mut all = counted(&format!("<testsuite>{cases}</testsuite>"));
    let named: Vec<String> = (0..10).map(|i| format!("t{i}")).collect();
    assert_eq!((all.run, all.failed, &all.failures), (25, 25, &named));

    all.add(tests(2, 1, 1, &["later"]));
    assert_eq!((all.run, all.failed, all.skipped, &all.failures), (27, 26, 1, &named));
    let mut few = tests(1, 1, 0, &["first"]);
    few.add(all);
    assert_eq!((few.run, few.failed, few.skipped), (28, 27, 1));
    assert_eq!(
        (few.failures.len(), few.failures[0].as_str(), few.failures[9].as_str()),
        (10, "first", "t8")
    );
}

// -- what is not counted

#[test]
fn what_is_no_report() {
    for (xml, expected) in [
        ("", "it is not XML: it has no element"),
        ("{\"tests\": 3}", "it is not XML: it has no element"),
        ("<?xml version='1.0'?><!-- later -->", "it is not XML: it has no element"),
        (
            "<coverage line-rate='1'><packages/></coverage>",
            "it is not a JUnit report: it begins with <coverage>, expected <testsuites> or <testsuite>",
        ),
        (
            "<testcase name='a'/>",
            "it is not a JUnit report: it begins with <testcase>, expected <testsuites> or <testsuite>",
        ),
        (
            "<assemblies><assembly/></assemblies>",
            "it is a test report of xUnit.net, expected one in JUnit's format",
        ),
    ] {
        assert_eq!(refusal(xml), expected, "{xml}");
    }
}

#[test]
fn an_error_repeats_little_of_the_file_on_one_line() {
    for xml in [
        format!("<{}/>", "y".repeat(5_000)),
        "<a\u{1b}[31m/>".to_owned(),
        format!("<testsuite><{0}></{0}z></testsuite>", "y".repeat(5_000)),
        "<testsuite></a\nb></testsuite>".to_owned(),
    ] {
        let message = match count(xml.as_bytes()) {
            Ok(counted) => counted.incomplete.unwrap().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(
            message.chars().count() < 300 && !message.chars().any(char::is_control),
            "{message:?}"
        );
    }
}

// -- malicious reports

#[test]
fn entities_are_not_expanded() {
    let mut xml = "<!DOCTYPE t [\n<!ENTITY a0 'ha'>\n".to_owned();
    for i in 1..=30 {
        xml.push_str(&format!("<!ENTITY a{i} '{}'>\n", format!("&a{};", i - 1).repeat(10)));
    }
    xml.push_str("<!ENTITY file SYSTEM 'file:///etc/passwd'>\n]>\n");
    xml.push_str("<testsuite><testcase name='&a30;&file;'><failure>&a30;&file;</failure></testcase>&a30;</testsuite>");
    assert_eq!(counted(&xml), tests(1, 1, 0, &["&a30;&file;"]));
}

#[test]
fn size_and_nesting_are_bounded() {
    let large = format!("<testsuite><testcase name='a'/>{}", " ".repeat(LARGEST));
    assert_eq!(
        in_part(large.as_bytes()),
        (tests(1, 0, 0, &[]), "it is larger than 16 MiB".to_owned())
    );
    let nested = |depth: usize| format!("{}{}", "<testsuite>\n".repeat(depth), "</testsuite>".repeat(depth));
    assert_eq!(counted(&nested(64)), tests(0, 0, 0, &[]));
    assert_eq!(in_part(nested(65).as_bytes()).1, "line 65: elements are nested more than 64 deep");
    assert_eq!(in_part("<testsuite>".repeat(1_000_000).as_bytes()).0, tests(0, 0, 0, &[]));
}

#[test]
fn the_most_expensive_reports_are_cheap_enough() {
    let attributes: String = (0..200_000).map(|i| format!("a{i}='x' ")).collect();
    let xml = format!("<testsuite><testcase {attributes} name='a'><failure/></testcase></testsuite>");
    assert_eq!(counted(&xml), tests(1, 1, 0, &["a"]));
    let xml = format!(
        "<testsuite><testcase name='{}'><failure/></testcase></testsuite>",
        "&lt;".repeat(1_000_000)
    );
    assert_eq!(counted(&xml).failures[0].chars().count(), 120);
    let xml = format!("<testsuite>{}</testsuite>", "<testcase><failure/></testcase>".repeat(200_000));
    assert_eq!(counted(&xml).failed, 200_000);
}

// -- any report

/// A generated test.
#[derive(Debug, Clone)]
struct Written {
    class: Option<String>,
    name: String,
    failures: usize,
    errors: usize,
    skips: usize,
    noise: usize,
}

/// A generated suite: its tests, and the suites in it.
#[derive(Debug, Clone)]
struct Suite(Vec<Written>, Vec<Suite>);

/// Elements and texts that do not count.
const NOISE: [&str; 6] = [
    "",
    "\n  ",
    "<!-- <testcase name='x'><failure/></testcase> -->",
    "<system-out><![CDATA[<testcase><failure/></testcase>]]></system-out>",
    "<properties><property name='a' value='b'/><testcase><error/></testcase></properties>",
    "<?pi <testcase/> ?>",
];

fn suite() -> impl Strategy<Value = Suite> {
    let text = "[ -~äß世🎈]{0,140}";
    let test = (prop::option::of(text), text, 0..2usize, 0..2usize, 0..2usize, 0..NOISE.len()).prop_map(
        |(class, name, failures, errors, skips, noise)| Written {
            class,
            name,
            failures,
            errors,
            skips,
            noise,
        },
    );
    let tests = prop::collection::vec(test, 0..6);
    let leaf = tests.clone().prop_map(|tests| Suite(tests, Vec::new()));
    leaf.prop_recursive(4, 24, 3, move |inner| {
        (tests.clone(), prop::collection::vec(inner, 0..3)).prop_map(|(tests, suites)| Suite(tests, suites))
    })
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

fn write(suite: &Suite, prefix: &str, lie: u32, xml: &mut String) {
    let has_failures = suite.0.iter().any(|test| test.failures + test.errors > 0);
    let failures = if has_failures { lie } else { 0 };
    xml.push_str(&format!("<{prefix}testsuite tests=\"{lie}\" failures='{failures}'>"));
    for test in &suite.0 {
        let class = test.class.as_ref().map(|class| format!(" classname=\"{}\"", escaped(class)));
        xml.push_str(&format!(
            "{}<{prefix}testcase name=\"{}\" time='1'{}>{}{}{}{}</{prefix}testcase>",
            NOISE[test.noise],
            escaped(&test.name),
            class.unwrap_or_default(),
            "<failure message='a'>&lt;b&gt;</failure>".repeat(test.failures),
            NOISE[test.noise],
            "<error/>".repeat(test.errors),
            "<skipped/>".repeat(test.skips),
        ));
    }
    for inner in &suite.1 {
        write(inner, prefix, lie, xml);
    }
    xml.push_str(&format!("</{prefix}testsuite>"));
}

fn expect(suite: &Suite, expected: &mut Tests) {
    for test in &suite.0 {
        expected.run += 1;
        if test.errors > 0 || test.failures > 0 && test.skips == 0 {
            expected.failed += 1;
            let class = test.class.as_deref().unwrap_or_default().trim();
            let whole = match (class, test.name.trim()) {
                ("", "") => "a test without a name".to_owned(),
                ("", one) | (one, "") => one.to_owned(),
                (class, name) if class == name => name.to_owned(),
                (class, name) => format!("{class}.{name}"),
            };
            if !expected.failures.contains(&whole) {
                expected.failures.push(whole);
            }
        } else if test.skips > 0 {
            expected.skipped += 1;
        }
    }
    for inner in &suite.1 {
        expect(inner, expected);
    }
}

/// Texts that look like a report at their beginning.
fn like_a_report() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "<testsuites>",
        "<testsuite ",
        "<testsuite>",
        "</testsuite>",
        "<testcase name='a'>",
        "<testcase",
        "</testcase>",
        "<failure>",
        "</failure>",
        "<skipped/>",
        " name=",
        "'",
        "\"",
        ">",
        "/>",
        "<",
        "&",
        "&#",
        "&#x110000;",
        "&amp;",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "<!DOCTYPE a [",
        "<!ENTITY b 'c'>",
        "]>",
        "<?xml ",
        "?>",
        ":",
        "xmlns:",
        "=",
        "\u{feff}",
        "\0",
        "é",
        "\n",
    ]);
    prop::collection::vec(word, 0..40).prop_map(|words| format!("<testsuite>{}", words.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_has_an_answer(text in prop_oneof![any::<String>(), like_a_report()]) {
        match count(text.as_bytes()) {
            Ok(Counted { tests, .. }) => {
                prop_assert!(tests.failed + tests.skipped <= tests.run);
                prop_assert!(tests.failures.len() as u64 <= tests.failed && tests.failures.is_empty() == (tests.failed == 0));
                for name in &tests.failures {
                    prop_assert!(!name.is_empty() && name.chars().count() <= LONGEST_NAME && !name.chars().any(char::is_control), "{name:?}");
                }
            }
            Err(error) => prop_assert!(!error.to_string().chars().any(char::is_control), "{error:?}"),
        }
    }

    #[test]
    fn what_is_written_is_counted(suites in prop::collection::vec(suite(), 0..4), root in any::<bool>(), prefix in prop::sample::select(vec!["", "j:"]), lie in any::<u32>()) {
        let mut xml = String::new();
        let mut expected = Tests::default();
        for suite in &suites {
            write(suite, prefix, lie, &mut xml);
            expect(suite, &mut expected);
        }
        if root || suites.is_empty() {
            xml = format!("<{prefix}testsuites tests='{lie}'>{xml}</{prefix}testsuites>");
        }
        let counted = counted(&xml);
        prop_assert_eq!((counted.run, counted.failed, counted.skipped), (expected.run, expected.failed, expected.skipped));
        for (name, whole) in counted.failures.iter().zip(&expected.failures) {
            match name.strip_suffix('…') {
                Some(begin) => prop_assert!(whole.starts_with(begin) && whole.chars().count() > LONGEST_NAME && begin.chars().count() == LONGEST_NAME - 1),
                None => prop_assert_eq!(name, whole),
            }
        }
    }

    #[test]
    fn adding_is_counting_one_after_the_other(suites in prop::collection::vec(suite(), 1..4)) {
        let mut whole = String::new();
        let mut sum = Tests::default();
        for suite in &suites {
            let mut xml = String::new();
            write(suite, "", 7, &mut xml);
            whole.push_str(&xml);
            sum.add(counted(&xml));
        }
        prop_assert_eq!(counted(&whole), sum);
    }
}
