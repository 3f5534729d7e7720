//! The expression language: what parses, what it gives, and that nothing panics.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn scope() -> Scope {
    Scope::new()
        .with("params", json!({"job": "db-migrate", "rto": "15m"}))
        .with(
            "steps",
            json!({"lock-show": {"out": {"holder": "pid 7", "row-count": 3, "rows": [1, 2, 3]}}}),
        )
        .with(
            "result",
            json!({"verdict": "stale", "age-seconds": 12.5, "list": [{"n": 1}, {"n": 2}]}),
        )
}

fn eval(text: &str) -> Value {
    Expr::parse(text).expect(text).eval(&scope()).expect(text)
}

#[test]
fn values_keep_their_types_and_hyphens_work() {
    assert_eq!(eval("steps.lock-show.out.row-count + 1"), json!(4));
    assert_eq!(eval("steps['lock-show'].out.holder"), json!("pid 7"));
    assert_eq!(
        eval("result.verdict != 'alive' && result.age-seconds < seconds(params.rto)"),
        json!(true)
    );
    assert_eq!(eval("result.list.map(x, x.n * 2)"), json!([2, 4]));
    assert_eq!(eval("result.list.all(x, x.n > 0)"), json!(true));
    assert_eq!(eval("has(result.nothing) ? 1 : 2"), json!(2));
    assert_eq!(eval("has(steps.lock-show.out.row-count)"), json!(true));
    assert_eq!(
        eval("{'b': 1, 'a': [null]}").to_string(),
        r#"{"a":[null],"b":1}"#
    );
    assert_eq!(
        eval("params.job.startsWith('db-') && params.job.matches('^[a-z-]+$')"),
        json!(true)
    );
    assert_eq!(eval("type(result.verdict) == string"), json!(true));
}

#[test]
fn references_name_the_variables_and_their_fields() {
    let refs = |text: &str| -> Vec<String> {
        Expr::parse(text)
            .expect(text)
            .references()
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(
        refs(
            "steps.lock-show.out.holder == params.job && size(steps['x'].out['a b']) > result.n[0].m"
        ),
        [
            "steps.lock-show.out.holder",
            "params.job",
            r#"steps.x.out["a b"]"#,
            "result.n"
        ]
    );
    assert_eq!(
        refs("result.list.exists(x, x.n == params.n)"),
        ["result.list", "params.n"]
    );
    assert_eq!(refs("has(result.a.b)"), ["result.a.b"]);
    assert_eq!(refs("strings.quote(params.a)"), ["params.a"]);
    let text = "'ä' == 'ö' && steps.a-b.out == params.x";
    let expr = Expr::parse(text).expect("parses");
    let shown: Vec<&str> = expr
        .references()
        .iter()
        .map(|r| &text[r.range.clone()])
        .collect();
    assert_eq!(shown, ["steps.a-b.out", "params.x"]);
}

fn fault(text: &str) -> String {
    Expr::parse(text)
        .expect_err(text)
        .innermost_excerpt()
        .map(str::to_owned)
        .unwrap_or_default()
}

#[test]
fn syntax_errors_point_at_the_place() {
    let show = |text: &str| {
        let error = Expr::parse(text).expect_err(text);
        format!("{error}\n{}", fault(text))
    };
    assert_eq!(
        show("result.verdict = 'alive'"),
        "a single `=` means nothing here: use `==` to compare\n1 | result.verdict = 'alive'\n  |                ^"
    );
    assert_eq!(
        show("result.a and b"),
        "`and` is written `&&` here\n1 | result.a and b\n  |          ^^^"
    );
    assert_eq!(
        show("result.a == 15m"),
        "`15m` is not expected here\n1 | result.a == 15m\n  |             ^^^"
    );
    assert_eq!(
        show("size(result.a) >"),
        "the expression breaks off here\n1 | size(result.a) >\n  |                ^"
    );
    assert_eq!(
        show("(result.a"),
        "`(` is never closed\n1 | (result.a\n  | ^"
    );
    assert_eq!(
        show("'ä' + result.a-b c"),
        "`c` is not expected here\n1 | 'ä' + result.a-b c\n  |                  ^"
    );
    assert!(show("Foo{a: 1}").starts_with("there is no type `Foo`"));
}

#[test]
fn unknown_names_are_suggested() {
    let error = |text: &str| {
        Expr::parse(text)
            .expect(text)
            .eval(&scope())
            .expect_err(text)
    };
    let unknown = error("reslt.verdict == 'x'");
    assert_eq!(unknown.to_string(), "unknown name `reslt`");
    assert_eq!(unknown.hints(), ["Did you mean `result`?"]);
    let field = error("steps.lock-show.out.holdr == ''");
    assert_eq!(
        field.to_string(),
        "`steps.lock-show.out` has no field `holdr`"
    );
    assert_eq!(field.hints(), ["Did you mean `holder`?"]);
    assert_eq!(field.reason().code, "expression.unknown-name");
}

#[test]
fn errors_never_show_contents() {
    let scope = Scope::new().with(
        "params",
        json!({"token": "tr0ub4dor-and-3", "n": 1, "m": {"k": 1}}),
    );
    for text in [
        "params.token + params.n",
        "params.token[0]",
        "int(params.token) == 1",
        "params.m[params.token]",
        "params.token < params.n",
        "params.n / 0",
        "params.token.matches(params.token + '[')",
        "seconds(params.token) > 1.0",
        "params.m.nothing",
        "[params.token][3]",
        "params.token.foo",
        "'x' in params.token",
        "params.token ? 1 : 2",
        "!params.token",
        "-params.token",
        "params.token.substring(99)",
    ] {
        let error = Expr::parse(text).expect(text).eval(&scope).expect_err(text);
        let shown = format!("{} {:?} {:?}", error, error, error.innermost_excerpt());
        assert!(!shown.contains("tr0ub4dor"), "{text}: {shown}");
    }
    let error = Expr::parse("params.token")
        .expect("parses")
        .eval_bool(&scope)
        .expect_err("not a bool");
    assert_eq!(
        error.to_string(),
        "`params.token` gives a text, not true or false"
    );
}

#[test]
fn a_template_keeps_the_type_of_a_lone_expression() {
    let template = Template::parse(&json!({
        "count": "${ steps.lock-show.out.row-count }",
        "text": "job ${params.job} x ${ {'a': '}'}.a }",
        "plain": [1, "$${ not } and $5"],
    }))
    .expect("parses");
    assert_eq!(
        template.resolve(&scope()).expect("resolves"),
        json!({"count": 3, "text": "job db-migrate x }", "plain": [1, "${ not } and $5"]})
    );
    assert_eq!(
        template.canonical(),
        json!({
            "count": "${ steps.lock-show.out.row-count }",
            "text": "job ${ params.job } x ${ {'a' : '}'}.a }",
            "plain": [1, "$${ not } and $5"],
        })
    );
    let known = Scope::new().with("params", json!({"job": "j${"}));
    let bound = template.bind(&known).expect("binds");
    assert_eq!(
        bound.canonical()["text"],
        json!("job j$${ x }"),
        "a bound value is a literal, whatever it holds"
    );
    assert_eq!(bound.references().len(), 1);
    let error = Template::parse(&json!("a ${ params.job")).expect_err("not closed");
    assert_eq!(error.to_string(), "`${` is never closed with `}`");
}

#[test]
fn secret_parameters_stay_symbolic_when_left_out() {
    let template = Template::parse(&json!("x ${ params.token } ${ params.job }")).expect("parses");
    let bound = template.bind(&scope()).expect("binds");
    assert_eq!(bound.canonical(), json!("x ${ params.token } db-migrate"));
}

/// Every shape that makes a recursive parser or evaluator go deep, at the limits, on a small stack.
#[test]
fn deep_and_long_expressions_do_not_exhaust_the_stack() {
    let run = || {
        let n = MAX_TOKENS;
        let shapes = [
            vec!["1"; n].join("+"),
            vec!["1"; n / 2].join("+"),
            vec!["true"; n / 2].join("&&"),
            vec!["true"; n / 4].join("?1:"),
            format!("{}true", "!".repeat(MAX_DEPTH)),
            format!("{}1", "-".repeat(MAX_DEPTH)),
            format!("{}1{}", "(".repeat(MAX_DEPTH), ")".repeat(MAX_DEPTH)),
            format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH)),
            format!("{}1{}", "size(".repeat(MAX_DEPTH), ")".repeat(MAX_DEPTH)),
            format!("result{}", ".a".repeat(n / 2 - 1)),
            format!("'x'{}", ".trim()".repeat(n / 4 - 1)),
            format!("result{}", "[0]".repeat(n / 3 - 1)),
            format!("{}1", "(1+".repeat(MAX_DEPTH)) + &")".repeat(MAX_DEPTH),
            "true?".repeat(n / 4) + "1" + &":2".repeat(n / 4),
        ];
        for shape in shapes {
            if let Ok(expr) = Expr::parse(&shape) {
                let _ = expr.eval(&scope());
            }
        }
    };
    std::thread::Builder::new()
        .stack_size(256 << 10)
        .spawn(run)
        .expect("starts")
        .join()
        .expect("no overflow");
}

/// Pieces of the language in any order: closer to real mistakes than random bytes.
fn jumble() -> impl Strategy<Value = String> {
    let words = [
        "a",
        "result",
        ".",
        "row-count",
        "steps",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "'x'",
        "\"",
        "r'\\'",
        "1",
        "1.5",
        "0x1f",
        "9223372036854775807",
        "-9223372036854775808",
        "9u",
        "+",
        "-",
        "*",
        "/",
        "%",
        "==",
        "!=",
        "<",
        "&&",
        "||",
        "!",
        "?",
        ":",
        ",",
        " ",
        "in",
        "has",
        "size",
        ".map(x, x)",
        ".all(x, x)",
        ".exists_one(x, x == 1)",
        "null",
        "true",
        "b'\\xff'",
        "'\\u00e4'",
        "`",
        "ä",
        "\n",
        "$",
        "type",
        "int(",
        "double('NaN')",
        "string(",
        ".substring(",
        ".split('')",
        ".format([1])",
        "'%d'",
        ".charAt(9)",
        "matches(",
        "seconds('1m')",
        "dyn(",
        "'\\",
        "'''",
        "/*",
        "//",
        "optional",
        ".?",
        "if",
        "while",
        "@",
        "#",
        "\u{0}",
    ];
    proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..14)
        .prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_text_panics(text in jumble()) {
        let parsed = Expr::parse(&text);
        if let Err(error) = &parsed {
            prop_assert!(!error.to_string().contains("gave up"), "{text:?}");
        }
        if let Ok(expr) = parsed {
            if let Err(error) = expr.eval(&scope()) {
                prop_assert!(!error.to_string().contains("gave up"), "{text:?}");
            }
            match Expr::parse(expr.canonical()) {
                Ok(again) => prop_assert_eq!(again.canonical(), expr.canonical()),
                Err(error) => prop_assert!(false, "{text:?} -> {:?}: {error}", expr.canonical()),
            }
        }
        let _ = Template::parse_text(&text);
        let _ = Template::parse_text(&format!("${{{text}}}"));
    }

    #[test]
    fn no_unicode_panics(text in any::<String>()) {
        if let Ok(expr) = Expr::parse(&text) {
            let _ = expr.eval(&scope());
        }
        if let Ok(template) = Template::parse_text(&text) {
            let again = Template::parse(&template.canonical()).expect("the canonical text parses");
            prop_assert_eq!(again, template);
        }
    }

    #[test]
    fn an_excerpt_never_panics(text in any::<String>(), start in 0usize..80, len in 0usize..80) {
        let _ = excerpt(Some("f"), &text, start..start + len, "label");
    }
}
