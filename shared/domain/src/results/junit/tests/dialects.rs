//! Reports of other test runners, reports that are cut off, and reports in other encodings.

use super::*;

// -- encodings

#[test]
fn a_report_is_read_in_the_encoding_that_it_names() {
    let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><testsuite><testcase name='gr\xfc\xdft'><failure>\xe4</failure></testcase></testsuite>";
    assert_eq!(count(latin).unwrap().tests, tests(1, 1, 0, &["grüßt"]));
    let report = "<?xml version=\"1.0\" encoding=\"UTF-16\"?><testsuite><testcase name='grüßt'><failure/></testcase></testsuite>";
    let units = |bytes: fn(u16) -> [u8; 2]| report.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    for utf16 in [
        [b"\xff\xfe".to_vec(), units(u16::to_le_bytes)].concat(),
        [b"\xfe\xff".to_vec(), units(u16::to_be_bytes)].concat(),
        units(u16::to_le_bytes),
        units(u16::to_be_bytes),
    ] {
        assert_eq!(count(&utf16).unwrap().tests, tests(1, 1, 0, &["grüßt"]), "{:x?}", &utf16[..4]);
    }
}

#[test]
fn a_report_that_names_another_encoding_than_it_has_is_read_all_the_same() {
    // Some tools write UTF-8 under an old header, or re-encode UTF-16 and keep its declaration.
    for name in ["ISO-8859-1", "UTF-16", "no such", "us-ascii"] {
        let xml = format!("<?xml version='1.0' encoding='{name}'?><testsuite><testcase name='grüßt'><failure/></testcase></testsuite>");
        assert_eq!(counted(&xml), tests(1, 1, 0, &["grüßt"]), "{name}");
    }
    // Without a declaration, invalid bytes are replaced.
    let latin = b"<testsuite><testcase name='gr\xfcn'><failure/></testcase></testsuite>";
    assert_eq!(count(latin).unwrap().tests, tests(1, 1, 0, &["gr\u{fffd}n"]));
}

#[test]
fn half_a_character_costs_nothing_but_itself() {
    let mut bytes = b"<testsuite><testcase name='a'><failure message='gr\xc3".to_vec();
    bytes.extend(b"'>cut at 64 KiB: \xf0\x9f</failure></testcase><testcase name='b'/></testsuite>");
    assert_eq!(count(&bytes).unwrap().tests, tests(2, 1, 0, &["a"]));
}

// -- reports without an end

#[test]
fn what_is_cut_off_counts_up_to_there_and_says_so() {
    for (xml, run, why) in [
        (
            "<testsuite>\n<testcase name='a'/>\n",
            1,
            "line 3: it is not valid XML: it ends before its elements are closed",
        ),
        (
            "<testsuite>\n<testcase>\n</testsuite>\n",
            0,
            "line 3: it is not valid XML: ill-formed document: expected `</testcase>`, but `</testsuite>` was found",
        ),
        (
            "<testsuite>\n<testcase name='a'/><testcase name='b'><failure/></testcase><testcase name='c",
            2,
            "line 2: it is not valid XML: syntax error: attribute value not closed: `'` not found before end of input",
        ),
    ] {
        let (counted, told) = in_part(xml.as_bytes());
        assert_eq!((counted.run, told.as_str()), (run, why), "{xml}");
    }
}

#[test]
fn a_failure_that_breaks_the_report_is_not_lost_with_it() {
    for xml in [
        // A message without escapes, and one whose CDATA ends too early.
        "<testsuite><testcase name='a'><failure>expected <unknown>:0: yes</failure></testcase></testsuite>",
        "<testsuite><testcase name='a'><failure><![CDATA[<foo><![CDATA[bar]]></foo>]]></failure></testcase></testsuite>",
        // The agent ran out of memory while it wrote the report.
        "<testsuite><testcase name='a'><failure>java.lang.OutOf",
    ] {
        assert_eq!(in_part(xml.as_bytes()).0, tests(1, 1, 0, &["a"]), "{xml}");
    }
    assert_eq!(
        in_part(b"<testsuite name='s'><error/><testcase name='a'/>").0,
        tests(2, 1, 0, &["s"])
    );
    assert_eq!(in_part(b"<testsuite><testcase name='a'><system-out>").0, tests(0, 0, 0, &[]));
}

// -- outcomes in other places

#[test]
fn what_may_fail_is_skipped() {
    let xml = "<testsuite><testcase name='todo'><skipped type='todo'/><failure type='testCodeFailure'/></testcase>\
               <testcase name='may'><skipped message='TEST_CASE tagged with !mayfail'/><error/></testcase>\
               <testcase name='torn'><skipped type='pytest.skip'/><error message='failed on teardown'/></testcase></testsuite>";
    assert_eq!(counted(xml), tests(3, 1, 2, &["torn"]));
    let other_words = "<testsuite><testcase name='a'><skip>later</skip></testcase><testcase name='b'><disabled/></testcase></testsuite>";
    assert_eq!(counted(other_words), tests(2, 0, 2, &[]));
}

#[test]
fn totals_count_where_nothing_else_tells_of_a_failure() {
    // Newman writes a broken script so, and Mocha a broken hook.
    let xml = "<testsuites><testsuite name='request' tests='0' errors='1'><system-err>x</system-err></testsuite>\
               <testsuite name='hook' failures='1'><testcase name='a'/></testsuite></testsuites>";
    assert_eq!(counted(xml), tests(3, 2, 0, &["request", "hook"]));
    // Surefire may include tries in its totals that do not count.
    let flaky = "<testsuite failures='1'><testcase name='a' status='failed'><flakyFailure/></testcase></testsuite>";
    assert_eq!(counted(flaky), tests(1, 0, 0, &[]));
}

#[test]
fn a_test_that_is_tried_again_under_its_name_is_named_once() {
    let one = "<testcase classname='c' name='a'><failure/></testcase>";
    let xml = format!("<testrun name='all'><testsuite>{one}{one}<testcase classname='c' name='a'/></testsuite></testrun>");
    assert_eq!(counted(&xml), tests(3, 2, 0, &["c.a"]));
}

#[test]
fn a_failure_of_a_whole_suite_is_a_failed_test_of_its_name() {
    let xml = "<testsuites><testsuite name='shop.CartTest'><error message='the database is not there'/><error/>\
               <testcase name='a'/></testsuite><testsuite name='shop.Till'><failure/></testsuite><testsuite><error/></testsuite></testsuites>";
    assert_eq!(
        counted(xml),
        tests(4, 3, 0, &["shop.CartTest", "shop.Till", "a suite without a name"])
    );
}

#[test]
fn a_state_in_an_attribute_counts_where_no_element_tells() {
    let xml = "<testsuite><testcase name='ran' status='run' result='completed'/>\
               <testcase name='disabled' status='notrun' result='suppressed'/>\
               <testcase name='left' status='run' result='skipped'/>\
               <testcase name='red' status='FAILED'/>\
               <testcase name='blue' result='Error'/>\
               <testcase name='told' status='failed'><skipped/></testcase>\
               <testcase name='passed' status='passed'><failure/></testcase></testsuite>";
    assert_eq!(counted(xml), tests(7, 3, 3, &["red", "blue", "passed"]));
}
