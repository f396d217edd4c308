//! What clients get to see of a refused file.

use std::vec::Vec;

use super::*;

#[test]
fn each_mistake_comes_with_its_file_and_place() {
    let error = config::parse("edge.yaml", "node: {}\npools: 5\n").unwrap_err();
    let lines: Vec<_> = error.problems.iter().map(|problem| problem.line).collect();
    assert!(lines.len() > 1, "{error}");

    let problem = Problem::from(error.clone());

    assert_eq!((problem.kind.as_str(), problem.status), ("invalid_config", 422));
    assert_eq!(problem.title, "edge.yaml is not valid");
    assert!(problem.errors.iter().all(|item| item.file == "edge.yaml"), "{problem:?}");
    assert_eq!(problem.errors.iter().map(|item| item.line).collect::<Vec<_>>(), lines);
    for (item, mistake) in problem.errors.iter().zip(&error.problems) {
        assert_eq!((&item.path, &item.message), (&mistake.path, &mistake.message));
    }
}
