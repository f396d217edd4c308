//! Which of several kernel packages is fetched.

use super::*;

#[test]
fn the_newest_version_is_taken_by_number_not_by_letter() {
    let found = "linux-image-6.12.9+bpo-cloud-amd64-unsigned - Linux 6.12 for x86-64 cloud\n\
                 linux-image-6.12.117+deb12-cloud-amd64-unsigned - Linux 6.12 for x86-64 cloud\n\
                 linux-image-6.12.13+deb12-cloud-amd64-unsigned - Linux 6.12 for x86-64 cloud\n";
    assert_eq!(newest(found).as_deref(), Some("linux-image-6.12.117+deb12-cloud-amd64-unsigned"));
    assert_eq!(newest(""), None);
}

#[test]
fn a_kernel_that_cannot_be_fetched_is_named_with_its_place() {
    let workspace = Workspace::find().unwrap();
    for kernel in &KERNELS {
        let text = kernel.lack(&workspace);
        assert!(text.contains(&format!("target/kernels/{}", kernel.series)), "{text}");
        assert!(text.contains("linux-image-6"), "{text}");
    }
}
