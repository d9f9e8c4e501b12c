//! A wrong bitcoind is one clear line and exit status 2. Alone in its file, since it sets the process's environment.

#[test]
fn a_missing_bitcoind_is_one_line() {
    std::env::set_var("BITCOIND_EXE", "/nowhere/bitcoind");
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments = ["leyden", "run", "open-and-close", "--world", "regtest"];
    let code = leyden::cli::run(arguments.into_iter().map(Into::into), &mut out, &mut err);
    assert_eq!((code, out.len()), (2, 0));
    let err = String::from_utf8(err).unwrap();
    assert_eq!(err, "leyden: BITCOIND_EXE names /nowhere/bitcoind, which does not exist\n");
}
