//! The archive to the byte, where the kernel is strict.

use super::*;

#[test]
fn a_file_comes_after_its_directories_and_everything_is_aligned() {
    let mut archive = Archive::new(Vec::new());
    archive.file("/a/b/init", b"12345").unwrap();
    archive.file("/a/b/init", b"another").unwrap();
    archive.directory("/a").unwrap();
    let bytes = archive.finish().unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let starts: Vec<usize> = text.match_indices("070701").map(|(at, _)| at).collect();
    assert!(starts.iter().all(|start| start % 4 == 0), "{starts:?}");
    let names: Vec<&str> = starts.iter().map(|start| name(&text[*start..])).collect();
    assert_eq!(names, ["a", "a/b", "a/b/init", TRAILER]);
    let file = &text[starts[2]..starts[3]];
    assert_eq!(&file[14..22], "000081ed", "mode");
    assert_eq!(&file[54..62], "00000005", "length");
    assert_eq!(&file[94..102], "00000009", "length of the name");
    assert!(file.ends_with("12345\0\0\0"), "{file:?}");
}

fn name(entry: &str) -> &str {
    entry[110..].split('\0').next().unwrap()
}
