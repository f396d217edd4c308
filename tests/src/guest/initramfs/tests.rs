//! Which files a program needs.

use super::*;

#[test]
fn libraries_and_loader_are_taken_and_what_the_kernel_provides_is_not() {
    let printed = "\tlinux-vdso.so.1 (0x00007fff)\n\
                   \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f02)\n\
                   \t/lib64/ld-linux-x86-64.so.2 (0x00007f03)\n";
    let expected = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"];
    assert_eq!(library_paths(printed), expected);
}
