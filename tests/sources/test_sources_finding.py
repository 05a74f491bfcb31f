from manyhot.sources import FindingLog


def test_the_same_fault_again_only_adds_to_its_count_and_keeps_five_examples():
    findings = FindingLog()
    for number in range(9):
        findings.error("missing-file", "a.csv: no such picture; add it", f"line {number}")
    (finding,) = findings.findings()
    assert finding.count == 9
    assert finding.examples == ("line 0", "line 1", "line 2", "line 3", "line 4")
    assert finding.line == "a.csv: no such picture; add it (9 times: line 0, line 1, line 2, line 3, line 4, …)"


def test_errors_come_before_warnings_and_infos():
    findings = FindingLog()
    findings.info("c", "third")
    findings.warning("b", "second")
    findings.error("a", "first")
    assert [finding.message for finding in findings.findings()] == ["first", "second", "third"]
    assert findings.has_errors


def test_a_single_fault_without_an_example_is_its_message_alone():
    findings = FindingLog()
    findings.warning("empty", "nothing here")
    assert findings.findings()[0].line == "nothing here"
    assert not findings.has_errors
