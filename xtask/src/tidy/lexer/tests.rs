//! What counts as code, and what does not.

use super::split;

#[track_caller]
fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[test]
fn comments_and_literals_are_not_code() {
    let source = r##"let a = "one // \" two"; // three /* four
/* five /* six */ "seven" */ let b = r#"eight " nine"#; let c = b"ten";"##;
    let split = split(source);
    assert_eq!(
        words(&split.code),
        ["let", "a", "=", ";", "let", "b", "=", ";", "let", "c", "=", "b", ";"]
    );
    assert_eq!(
        words(&split.comments),
        ["//", "three", "/*", "four", "/*", "five", "/*", "six", "*/", "\"seven\"", "*/"]
    );
}

#[test]
fn lifetimes_are_code_and_characters_are_not() {
    let source = "fn f<'a>(x: &'a str) { g('\"', '\\'', 'x', \"'\") } // end";
    let split = split(source);
    assert!(split.code.contains("<'a>(x: &'a str)"), "{}", split.code);
    assert!(!split.code.contains("'x'"), "{}", split.code);
    assert_eq!(words(&split.comments), ["//", "end"]);
}

#[test]
fn lines_keep_their_numbers() {
    let source = "a\n/* b\n c */\n\"d\n e\"\nf\n";
    let split = split(source);
    assert_eq!(split.code.lines().count(), source.lines().count());
    assert_eq!(split.comments.lines().count(), source.lines().count());
    assert_eq!(split.code.lines().position(|line| line == "f"), Some(5));
}

#[test]
fn a_name_that_ends_in_r_starts_no_raw_string() {
    let split = split("matcher\"text\" r#type after");
    assert_eq!(words(&split.code), ["matcher", "r#type", "after"]);
}

#[test]
fn an_unclosed_literal_ends_with_the_file() {
    for source in ["\"abc", "r#\"abc\"", "/* abc", "'\\"] {
        assert_eq!(split(source).code.trim(), "", "{source}");
    }
}
